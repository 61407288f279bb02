// Action distributions: from outputs [output][row] of a network to log-probabilities, entropy and KL, and back.
//
// The formulas are those of policies/heads.py; gradients are of these formulas, taken by hand.
#pragma once
#include "network.h"

namespace engine {

constexpr float HALF_LOG_2PI = 0.91893853320467274178f, HALF_LOG_2PIE = 1.41893853320467274178f;

// Of LANES rows at z (ld apart): log-probabilities and probabilities of all actions at a temperature.
static inline void log_softmax(int actions, const float *z, size_t ld, float inverse_temperature, Vec *log_p, Vec *p) {
  Vec largest = load(z) * inverse_temperature;
  for (int a = 0; a < actions; a++) {
    log_p[a] = load(z + a * ld) * inverse_temperature;
    // A NaN becomes the largest, and so all of the row.
    largest = log_p[a] <= largest ? largest : log_p[a];
  }
  Vec total = {};
  for (int a = 0; a < actions; a++) {
    log_p[a] -= largest;
    p[a] = exponential(log_p[a]);
    total += p[a];
  }
  Vec log_total = logarithm(total), inverse = 1.f / total;
  for (int a = 0; a < actions; a++) {
    log_p[a] -= log_total;
    p[a] *= inverse;
  }
}

// Rows that a head evaluates: outputs of the policy and of the reference, and what was taken.
struct Rows {
  const float *z, *reference;  // [output][row]; without reference there is no KL
  size_t ld;
  const int64_t *discrete;  // [row][part]
  const float *continuous;  // [row][dimension]
};

// Room for the distributions of LANES rows: policy and reference.
struct HeadScratch {
  Vec *log_p, *p, *reference_log_p, *reference_p;
  HeadScratch(int outputs, Scratch &scratch) {
    size_t each = (size_t)outputs * LANES;
    log_p = (Vec *)scratch.floats(4 * each);
    p = log_p + outputs, reference_log_p = p + outputs, reference_p = reference_log_p + outputs;
  }
};

static inline Ints taken_actions(const Rows &rows, int parts, int part, int r, int R) {
  Ints taken = {};
  for (int i = 0; i < LANES && r + i < R; i++) taken[i] = (int32_t)rows.discrete[(size_t)(r + i) * parts + part];
  return taken;
}

static inline Vec taken_values(const Rows &rows, int dimensions, int d, int r, int R) {
  Vec taken = {};
  for (int i = 0; i < LANES && r + i < R; i++) taken[i] = rows.continuous[(size_t)(r + i) * dimensions + d];
  return taken;
}

// log-probabilities, entropy and KL to the reference of R rows; the last two may be null. Beyond R anything is written,
// up to the next whole group.
static void evaluate(const Shape &s, const Rows &rows, int R, float temperature, HeadScratch &room, float *log_probs,
                     float *entropy, float *kl) {
  for (int r = 0; r < R; r += LANES) {
    Vec log_prob = {}, H = {}, D = {};
    const float *z = rows.z + r, *z_reference = rows.reference ? rows.reference + r : nullptr;
    if (s.head == CATEGORICAL) {
      size_t first = 0;
      for (int part = 0; part < s.parts; first += (size_t)s.sizes[part++] * rows.ld) {
        int A = s.sizes[part];
        log_softmax(A, z + first, rows.ld, 1.f / temperature, room.log_p, room.p);
        if (z_reference) log_softmax(A, z_reference + first, rows.ld, 1.f, room.reference_log_p, room.reference_p);
        Ints taken = taken_actions(rows, s.parts, part, r, R);
        Vec own = {};
        for (int a = 0; a < A; a++) {
          own = taken == a ? room.log_p[a] : own;
          H -= room.p[a] * room.log_p[a];
          if (z_reference) D += room.p[a] * (room.log_p[a] - room.reference_log_p[a]);
        }
        log_prob += own;
      }
    } else {
      int dimensions = s.last();
      for (int d = 0; d < dimensions; d++) {
        Vec mean = load(z + d * rows.ld), log_std = load(z + (dimensions + d) * rows.ld);
        if (temperature != 1.f) log_std += 0.5f * logarithm(all(temperature));
        Vec off = (taken_values(rows, dimensions, d, r, R) - mean) * exponential(-log_std);
        log_prob -= fma(off * 0.5f, off, log_std) + HALF_LOG_2PI;
        H += log_std + HALF_LOG_2PIE;
        if (!z_reference) continue;
        Vec other = load(z_reference + (dimensions + d) * rows.ld);
        Vec log_ratio = log_std - other, shift = (mean - load(z_reference + d * rows.ld)) * exponential(-other);
        D += 0.5f * (exponential(log_ratio + log_ratio) + shift * shift - 1.f) - log_ratio;
      }
    }
    store(log_probs + r, log_prob);
    if (entropy) store(entropy + r, H);
    if (kl) store(kl + r, D);
  }
}

// d loss / d outputs dz [output][row] of R rows from the gradients of what `evaluate` gives; zero beyond R.
static void head_gradient(const Shape &s, const Rows &rows, int R, HeadScratch &room, const float *d_log_probs,
                          const float *d_entropy, const float *d_kl, float *dz, size_t ld) {
  int all_rows = padded(R);
  for (int r = 0; r < all_rows; r += LANES) {
    Ints real = {};
    Vec L = {}, E = {}, K = {};
    for (int i = 0; i < LANES && r + i < R; i++)
      real[i] = -1, L[i] = d_log_probs[r + i], E[i] = d_entropy[r + i], K[i] = d_kl[r + i];
    const float *z = rows.z + r, *z_reference = rows.reference ? rows.reference + r : nullptr;
    if (s.head == CATEGORICAL) {
      size_t before = 0;  // outputs of the parts before
      for (int part = 0; part < s.parts; before += s.sizes[part++]) {
        int A = s.sizes[part];
        log_softmax(A, z + before * rows.ld, rows.ld, 1.f, room.log_p, room.p);
        if (z_reference)
          log_softmax(A, z_reference + before * rows.ld, rows.ld, 1.f, room.reference_log_p, room.reference_p);
        Ints taken = taken_actions(rows, s.parts, part, r, R);
        Vec H = {}, D = {};
        for (int a = 0; a < A; a++) {
          H -= room.p[a] * room.log_p[a];
          if (z_reference) D += room.p[a] * (room.log_p[a] - room.reference_log_p[a]);
        }
        for (int a = 0; a < A; a++) {
          Vec d = L * ((taken == a ? all(1.f) : (Vec){}) - room.p[a]);
          d -= E * room.p[a] * (room.log_p[a] + H);
          if (z_reference) d += K * room.p[a] * (room.log_p[a] - room.reference_log_p[a] - D);
          store(dz + (before + a) * ld + r, real ? d : (Vec){});
        }
      }
    } else {
      int dimensions = s.last();
      for (int d = 0; d < dimensions; d++) {
        Vec mean = load(z + d * rows.ld), log_std = load(z + (dimensions + d) * rows.ld);
        Vec narrow = exponential(-log_std);
        Vec off = (taken_values(rows, dimensions, d, r, R) - mean) * narrow;
        Vec d_mean = L * off * narrow, d_log_std = fma(L, off * off - 1.f, E);
        if (z_reference) {
          Vec other = load(z_reference + (dimensions + d) * rows.ld), inverse = exponential(-other);
          Vec log_ratio = log_std - other, shift = (mean - load(z_reference + d * rows.ld)) * inverse;
          d_mean = fma(K, shift * inverse, d_mean);
          d_log_std = fma(K, exponential(log_ratio + log_ratio) - 1.f, d_log_std);
        }
        store(dz + d * ld + r, real ? d_mean : (Vec){});
        store(dz + (dimensions + d) * ld + r, real ? d_log_std : (Vec){});
      }
    }
  }
}

// Actions of R rows by noise (uniform or normal numbers), or the most likely one of rows that are greedy.
struct Choices {
  const float *noise;
  const uint8_t *greedy;  // null: of no row
  int64_t *discrete;
  float *continuous;
};

static void choose(const Shape &s, int R, const float *z, size_t ld, HeadScratch &room, const Choices &to) {
  if (s.head == GAUSSIAN) {
    int dimensions = s.last();
    for (int d = 0; d < dimensions; d++)
      for (int r = 0; r < R; r += LANES) {
        Vec mean = load(z + d * ld + r), std = exponential(load(z + (dimensions + d) * ld + r));
        for (int i = 0; i < LANES && r + i < R; i++) {
          size_t at = (size_t)(r + i) * dimensions + d;
          bool greedy = to.greedy && to.greedy[r + i];
          to.continuous[at] = greedy ? mean[i] : __builtin_fmaf(std[i], to.noise[at], mean[i]);
        }
      }
    return;
  }
  size_t first = 0;
  for (int part = 0; part < s.parts; first += (size_t)s.sizes[part++] * ld) {
    int A = s.sizes[part];
    for (int r = 0; r < R; r += LANES) {
      const float *own_z = z + first + r;
      log_softmax(A, own_z, ld, 1.f, room.log_p, room.p);
      Vec noise = {}, up_to = {};
      for (int i = 0; i < LANES && r + i < R; i++) noise[i] = to.noise[(size_t)(r + i) * s.parts + part];
      Ints drawn = {}, likeliest = {};
      Vec highest = load(own_z);
      for (int a = 0; a + 1 < A; a++) {
        up_to += room.p[a];
        drawn -= up_to <= noise;
      }
      for (int a = 1; a < A; a++) {
        Vec own = load(own_z + a * ld);
        Ints higher = own > highest;
        highest = higher ? own : highest;
        likeliest = higher ? (Ints){} + a : likeliest;
      }
      for (int i = 0; i < LANES && r + i < R; i++)
        to.discrete[(size_t)(r + i) * s.parts + part] = to.greedy && to.greedy[r + i] ? likeliest[i] : drawn[i];
    }
  }
}

}  // namespace engine
