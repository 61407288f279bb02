// The compiled engine: what library.py calls. All functions work seed by seed; arrays are checked there.
//
// Every one returns 0, or 1 where memory ran out. Seeds' packed rows start at `offsets` [seed + 1], whole groups of 16
// each, of which the first `counts` [seed] are steps.
#include "adam.h"
#include "rollout.h"

using namespace engine;

#ifndef SOURCES
#define SOURCES ""
#endif
#ifndef BUILT
#define BUILT ""
#endif

template <class Environment>
static int play_all(const Environment &world, const Shape &shape, int S, int64_t P, const float *parameters, Episodes e, int64_t begin, int64_t end,
                    int64_t states, int64_t *live) {
  constexpr int V = Environment::VARIABLES;
  const size_t F = world.FEATURES;
  Scratch scratch;
  Network net(shape, scratch);
  Actor actor(net, scratch);
  if (scratch.failed) return 1;
  int numbers = shape.numbers();
  for (int s = 0; s < S; s++) {
    Scratch own;
    live[s] = 0;
    bool any = false;
    for (int k = 0; k < e.count; k++) any |= e.live[k];
    if (any) {
      net.open(parameters + s * P);
      int left = play(world, actor, e, begin, end, own);
      if (left < 0) return 1;
      live[s] = left;
    }
    size_t steps = (size_t)e.count * e.horizon;
    e.state += (size_t)e.count * V, e.returns += e.count;
    e.lengths += e.count, e.live += e.count, e.noise += (size_t)e.count * (end - begin) * numbers;
    if (e.observations) e.observations += steps * F;
    if (e.rewards) e.rewards += steps;
    if (e.discrete) e.discrete += steps;
    if (e.continuous) e.continuous += steps * numbers;
    if (e.visited) e.visited += states;
  }
  return 0;
}

template <class Environment>
static int play_all_segments(const Environment &world, const Shape &shape, int S, int64_t P, const float *parameters,
                             Segments e, int64_t states, int64_t *progress) {
  constexpr int V = Environment::VARIABLES;
  const size_t F = world.FEATURES;
  Scratch scratch;
  Network net(shape, scratch);
  Actor actor(net, scratch);
  if (scratch.failed) return 1;
  size_t K = e.count, steps = K * e.steps;
  for (int s = 0; s < S; s++) {
    Scratch own;
    if (progress[s] < e.steps) {
      net.open(parameters + s * P);
      progress[s] = play_segments(world, actor, e, progress[s], own);
      if (progress[s] < 0) return 1;
    }
    e.state += K * V, e.clock += K, e.returns += K, e.starts += K * V, e.ready += K;
    e.observations += steps * F, e.after += steps * F, e.rewards += steps, e.totals += steps, e.over += steps;
    e.last += steps * V;
    e.noise += steps * shape.numbers();
    if (e.discrete) e.discrete += steps;
    if (e.continuous) e.continuous += steps * shape.numbers();
    if (e.visited) e.visited += states;
  }
  return 0;
}

extern "C" {

// Hash of the sources that it was built from; target and compiler.
const char *engine_sources() { return SOURCES; }
const char *engine_built() { return BUILT; }
int engine_lanes() { return LANES; }

// Steps `begin` to `end` of all living episodes; `live` [seed] becomes how many still live. What is null is not kept.
// `table` is of finite tasks alone, and so is `visited` [seed][state].
int engine_rollout(const int32_t *said, int environment, const Table *table, int S, int K, int64_t P, int64_t horizon, int64_t begin,
                   int64_t end, const float *parameters, const float *noise, const uint8_t *greedy, double *state,
                   float *observations, int64_t *discrete, float *continuous, double *rewards, double *returns,
                   int64_t *lengths, uint8_t *living, uint8_t *visited, int64_t *live) {
  Flushed flushed;
  Shape shape(said);
  Episodes e = {K,       horizon, state,   observations, discrete, continuous, rewards,
                returns, lengths, living, greedy,       noise,    visited};
  switch (environment) {
    case CART_POLE: return play_all(CartPole(), shape, S, P, parameters, e, begin, end, 0, live);
    case MOUNTAIN_CAR: return play_all(MountainCar(), shape, S, P, parameters, e, begin, end, 0, live);
    case ACROBOT: return play_all(Acrobot(), shape, S, P, parameters, e, begin, end, 0, live);
    case PENDULUM: return play_all(Pendulum(), shape, S, P, parameters, e, begin, end, 0, live);
    default: return play_all(*table, shape, S, P, parameters, e, begin, end, table->states, live);
  }
}

// Steps of running episodes, from `progress` [seed] on until T or until a next start is missing; arrays as Segments has
// them, after a leading axis of seeds.
int engine_segments(const int32_t *said, int environment, const Table *table, int S, int K, int64_t P, int64_t horizon, int64_t T,
                    const float *parameters, const float *noise, double *state, int64_t *clock, double *returns,
                    const double *starts, uint8_t *ready, float *observations, float *after, int64_t *discrete,
                    float *continuous, double *rewards, double *totals, double *last, uint8_t *over,
                    uint8_t *visited, int64_t *progress) {
  Flushed flushed;
  Shape shape(said);
  Segments e = {K,        horizon,    T,       state,  clock, returns, starts, ready,  observations, after,
                discrete, continuous, rewards, totals, last,  over,    noise,  visited};
  switch (environment) {
    case CART_POLE: return play_all_segments(CartPole(), shape, S, P, parameters, e, 0, progress);
    case MOUNTAIN_CAR: return play_all_segments(MountainCar(), shape, S, P, parameters, e, 0, progress);
    case ACROBOT: return play_all_segments(Acrobot(), shape, S, P, parameters, e, 0, progress);
    case PENDULUM: return play_all_segments(Pendulum(), shape, S, P, parameters, e, 0, progress);
    default: return play_all_segments(*table, shape, S, P, parameters, e, table->states, progress);
  }
}

// Actions of every seed's R rows: observations [seed][row][feature], noise [seed][row][number], greedy [row] or null.
int engine_act(const int32_t *said, int S, int R, int64_t P, const float *parameters, const float *observations,
               const float *noise, const uint8_t *greedy, int64_t *discrete, float *continuous) {
  Flushed flushed;
  Shape shape(said);
  Scratch scratch;
  Network net(shape, scratch);
  Actor actor(net, scratch);
  if (scratch.failed) return 1;
  size_t numbers = shape.numbers();
  for (int s = 0; s < S; s++) {
    net.open(parameters + s * P);
    size_t row = (size_t)s * R;
    actor.act(R, observations + row * shape.inputs(),
              {noise + row * numbers, greedy, discrete ? discrete + row * numbers : nullptr,
               continuous ? continuous + row * numbers : nullptr});
  }
  return 0;
}

// Moves the steps of episodes [seed][episode][horizon][...] together: rows in the order of episodes and steps.
int engine_pack(int S, int K, int64_t T, int64_t bytes, const int64_t *offsets, const int64_t *lengths,
                 const uint8_t *episodes, uint8_t *rows) {
  for (int s = 0; s < S; s++) {
    uint8_t *to = rows + offsets[s] * bytes;
    for (int k = 0; k < K; k++) {
      size_t n = (size_t)lengths[s * K + k] * bytes;
      memcpy(to, episodes + ((size_t)s * K + k) * T * bytes, n);
      to += n;
    }
  }
  return 0;
}

// And back: numbers of rows to [seed][episode][horizon], which is left alone where no step was taken.
int engine_unpack(int S, int K, int64_t T, const int64_t *offsets, const int64_t *lengths, const float *rows,
                   float *episodes) {
  for (int s = 0; s < S; s++) {
    const float *from = rows + offsets[s];
    for (int k = 0; k < K; k++) {
      size_t n = (size_t)lengths[s * K + k];
      memcpy(episodes + ((size_t)s * K + k) * T, from, sizeof(float) * n);
      from += n;
    }
  }
  return 0;
}

// Outputs z of the head, seed by seed [output][row], for rows x; hidden [row][feature] of each layer, or null.
int engine_forward(const int32_t *said, int S, int64_t P, const int64_t *offsets, const int64_t *counts,
                   const float *parameters, const float *x, float *hidden, float *z) {
  Flushed flushed;
  Shape shape(said);
  Scratch scratch;
  Network net(shape, scratch);
  float *spare = scratch.floats((size_t)CHUNK * padded(shape.last()));
  float *passing = hidden ? nullptr : scratch.floats((size_t)CHUNK * shape.hidden());
  if (scratch.failed) return 1;
  for (int s = 0; s < S; s++) {
    net.open(parameters + s * P);
    size_t rows = offsets[s + 1] - offsets[s];
    float *own = z + offsets[s] * shape.outputs();
    for (int64_t r = 0; r < counts[s]; r += CHUNK) {
      int n = counts[s] - r < CHUNK ? (int)(counts[s] - r) : CHUNK;
      const float *from = x + (offsets[s] + r) * shape.inputs();
      if (hidden)
        forward(net, n, from, hidden + offsets[s] * shape.hidden(), rows, r, own + r, rows, spare);
      else
        forward(net, n, from, passing, CHUNK, 0, own + r, rows, spare);
    }
    for (int o = 0; o < shape.outputs(); o++)
      for (size_t r = counts[s]; r < rows; r++) own[o * rows + r] = 0;
  }
  return 0;
}

// log-probabilities of what was taken, at a temperature, and (or null) entropy and KL to the reference, of all rows.
int engine_evaluate(const int32_t *said, int S, const int64_t *offsets, const int64_t *counts, const float *z,
                    const float *reference, const int64_t *discrete, const float *continuous, float temperature,
                    float *log_probs, float *entropy, float *kl) {
  Flushed flushed;
  Shape shape(said);
  Scratch scratch;
  HeadScratch room(shape.outputs(), scratch);
  if (scratch.failed) return 1;
  for (int s = 0; s < S; s++) {
    int64_t at = offsets[s];
    Rows rows = {z + at * shape.outputs(), reference ? reference + at * shape.outputs() : nullptr,
                 (size_t)(offsets[s + 1] - at), discrete ? discrete + at * shape.parts : nullptr,
                 continuous ? continuous + at * shape.last() : nullptr};
    evaluate(shape, rows, (int)counts[s], temperature, room, log_probs + at, entropy ? entropy + at : nullptr,
             kl ? kl + at : nullptr);
  }
  return 0;
}

// Gradient [seed][parameter] from those of log-probabilities, entropy and KL [row]; of a value network, whose head is
// linear, the first is that of its output and the others are null. Without `hidden` layers are computed again.
int engine_backward(const int32_t *said, int S, int64_t P, const int64_t *offsets, const int64_t *counts,
                    const float *parameters, const float *x, const float *hidden, const float *z, const float *reference,
                    const int64_t *discrete, const float *continuous, const float *d_log_probs, const float *d_entropy,
                    const float *d_kl, float *gradient) {
  Flushed flushed;
  Shape shape(said);
  Scratch scratch;
  Network net(shape, scratch);
  Gradients found(shape, scratch);
  HeadScratch room(shape.outputs(), scratch);
  float *dz = scratch.floats((size_t)CHUNK * shape.outputs());
  size_t widest = padded(shape.last());
  for (int l = 1; l < shape.products; l++) widest = (size_t)padded(shape.widths[l]) > widest ? padded(shape.widths[l]) : widest;
  float *g[2] = {scratch.floats(CHUNK * widest), scratch.floats(CHUNK * widest)};
  float *again = hidden ? nullptr : scratch.floats((size_t)CHUNK * shape.hidden());
  float *spare = scratch.floats((size_t)CHUNK * (padded(shape.last()) + shape.outputs()));
  if (scratch.failed) return 1;
  for (int s = 0; s < S; s++) {
    net.open(parameters + s * P);
    found.begin(gradient + s * P, P);
    int64_t at = offsets[s];
    size_t ld = offsets[s + 1] - at;
    for (int64_t r = 0; r < counts[s]; r += CHUNK) {
      int n = counts[s] - r < CHUNK ? (int)(counts[s] - r) : CHUNK;
      int64_t row = at + r;
      if (shape.head == LINEAR) {
        memset(dz, 0, sizeof(float) * CHUNK);
        memcpy(dz, d_log_probs + row, sizeof(float) * n);
      } else {
        Rows rows = {z + at * shape.outputs() + r, reference ? reference + at * shape.outputs() + r : nullptr, ld,
                     discrete ? discrete + row * shape.parts : nullptr, continuous ? continuous + row * shape.last() : nullptr};
        head_gradient(shape, rows, n, room, d_log_probs + row, d_entropy + row, d_kl + row, dz, CHUNK);
      }
      const float *from = x + row * shape.inputs();
      if (hidden) {
        backward(net, n, from, hidden + at * shape.hidden(), ld, r, dz, CHUNK, g, found);
      } else {
        float *values = spare + (size_t)CHUNK * padded(shape.last());
        forward(net, n, from, again, CHUNK, 0, values, CHUNK, spare);
        backward(net, n, from, again, CHUNK, 0, dz, CHUNK, g, found);
      }
    }
    found.end();
  }
  return 0;
}

// Scales every seed's gradient down to the norm most[seed] (negative: never), as torch.nn.utils.clip_grad_norm_.
int engine_clip(int S, int64_t P, const float *most, float *gradient, float *norms) {
  Flushed flushed;
  for (int s = 0; s < S; s++) {
    float *own = gradient + s * P;
    norms[s] = norm_of(own, P);
    float factor = most[s] / (norms[s] + 1e-6f);
    if (most[s] >= 0 && !(factor >= 1.f)) scale(own, P, factor);
  }
  return 0;
}

// One step of Adam of every seed; sizes [seed] and unbias [seed] as AdamStep has them.
int engine_adam(int S, int64_t P, const float *sizes, const float *unbias, float epsilon, float *parameters, float *mean,
                 float *square, const float *gradient) {
  Flushed flushed;
  for (int s = 0; s < S; s++) {
    int64_t at = s * P;
    adam(parameters + at, mean + at, square + at, gradient + at, P, {sizes[s], unbias[s], epsilon});
  }
  return 0;
}

}  // extern "C"
