// Episodes of one seed's policy: network, head and environment in one loop, of the episodes that still live.
#pragma once
#include "environments.h"
#include "heads.h"

namespace engine {

// The episodes of one seed, [episode] unless said otherwise.
struct Episodes {
  int count;
  int64_t horizon;
  double *state;        // [episode][variable]
  float *observations;  // [episode][horizon][feature]; this and the next three null where no step is kept
  int64_t *discrete;    // [episode][horizon]
  float *continuous;    // [episode][horizon][dimension]
  double *rewards;      // [episode][horizon]
  double *returns;
  int64_t *lengths;
  uint8_t *live;
  const uint8_t *greedy;  // null: none
  const float *noise;     // [episode][step of this call][number]
};

// What acting for some rows takes.
struct Actor {
  const Network &net;
  float *hidden, *z, *spare;
  HeadScratch head;

  Actor(const Network &n, Scratch &scratch)
      : net(n),
        hidden(scratch.floats((size_t)CHUNK * n.shape.hidden())),
        z(scratch.floats((size_t)CHUNK * n.shape.outputs())),
        spare(scratch.floats((size_t)CHUNK * padded(n.shape.last()))),
        head(n.shape.outputs(), scratch) {}

  // Actions of R rows x [row][feature], in as many pieces as it takes.
  void act(int R, const float *x, const Choices &to) {
    const Shape &s = net.shape;
    int numbers = s.numbers();
    for (int r = 0; r < R; r += CHUNK) {
      int n = R - r < CHUNK ? R - r : CHUNK;
      forward(net, n, x + (size_t)r * s.inputs(), hidden, CHUNK, 0, z, CHUNK, spare);
      Choices own = {to.noise + (size_t)r * numbers, to.greedy ? to.greedy + r : nullptr,
                     to.discrete ? to.discrete + (size_t)r * numbers : nullptr, to.continuous ? to.continuous + (size_t)r * numbers : nullptr};
      choose(s, n, z, CHUNK, head, own);
    }
  }
};

// Plays steps `begin` to `end` of the episodes that live; returns how many still do.
template <class Environment>
static int play(Actor &actor, const Episodes &e, int64_t begin, int64_t end, Scratch &scratch) {
  constexpr int V = Environment::VARIABLES, F = Environment::FEATURES;
  const Shape &shape = actor.net.shape;
  const int numbers = shape.numbers();
  int *episode = scratch.ints(e.count);
  double *state = scratch.doubles((size_t)e.count * V), *reward = scratch.doubles(e.count);
  float *x = scratch.floats((size_t)e.count * F), *noise = scratch.floats((size_t)e.count * numbers);
  float *continuous = scratch.floats((size_t)e.count * numbers);
  int64_t *discrete = (int64_t *)scratch.doubles(e.count), *terminated = (int64_t *)scratch.doubles(e.count);
  uint8_t *greedy = (uint8_t *)scratch.bytes(e.count);
  if (scratch.failed) return -1;
  int n = 0;
  for (int k = 0; k < e.count; k++)
    if (e.live[k]) {
      memcpy(state + (size_t)n * V, e.state + (size_t)k * V, sizeof(double) * V);
      episode[n++] = k;
    }
  for (int64_t t = begin; t < end && n; t++) {
    for (int j = 0; j < n; j++) {
      size_t k = episode[j];
      Environment::observe(state + (size_t)j * V, x + (size_t)j * F);
      if (e.observations) memcpy(e.observations + (k * e.horizon + t) * F, x + (size_t)j * F, sizeof(float) * F);
      memcpy(noise + (size_t)j * numbers, e.noise + (k * (end - begin) + (t - begin)) * numbers, sizeof(float) * numbers);
      greedy[j] = e.greedy ? e.greedy[k] : 0;
    }
    actor.act(n, x, {noise, e.greedy ? greedy : nullptr, discrete, continuous});
    for (int j = 0; j < n; j++)
      Environment::move(state + (size_t)j * V, {discrete + j, continuous + (size_t)j * numbers}, reward[j], terminated[j]);
    int still = 0;
    for (int j = 0; j < n; j++) {
      size_t k = episode[j], at = k * e.horizon + t;
      if (e.continuous)
        memcpy(e.continuous + at * numbers, continuous + (size_t)j * numbers, sizeof(float) * numbers);
      if (e.discrete) e.discrete[at] = discrete[j];
      if (e.rewards) e.rewards[at] = reward[j];
      e.returns[k] += reward[j];
      e.lengths[k] = t + 1;
      memcpy(e.state + k * V, state + (size_t)j * V, sizeof(double) * V);
      if (terminated[j] || t + 1 >= e.horizon) {
        e.live[k] = 0;
        continue;
      }
      if (still < j) memcpy(state + (size_t)still * V, state + (size_t)j * V, sizeof(double) * V);
      episode[still++] = (int)k;
    }
    n = still;
  }
  return n;
}

}  // namespace engine
