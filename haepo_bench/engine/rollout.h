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
  uint8_t *visited;       // [state] where episodes that are not greedy come; null: states have no numbers
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
static int play(const Environment &world, Actor &actor, const Episodes &e, int64_t begin, int64_t end, Scratch &scratch) {
  constexpr int V = Environment::VARIABLES;
  const size_t F = world.FEATURES;
  const Shape &shape = actor.net.shape;
  const int numbers = shape.numbers();
  int *episode = scratch.ints(e.count);
  double *state = scratch.doubles((size_t)e.count * V), *reward = scratch.doubles(e.count);
  float *x = scratch.floats(e.count * F), *noise = scratch.floats((size_t)e.count * numbers);
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
      world.observe(state + (size_t)j * V, x + j * F);
      if (e.observations) memcpy(e.observations + (k * e.horizon + t) * F, x + j * F, sizeof(float) * F);
      memcpy(noise + (size_t)j * numbers, e.noise + (k * (end - begin) + (t - begin)) * numbers, sizeof(float) * numbers);
      greedy[j] = e.greedy ? e.greedy[k] : 0;
      if (e.visited && !greedy[j]) e.visited[(int64_t)state[(size_t)j * V]] = 1;
    }
    actor.act(n, x, {noise, e.greedy ? greedy : nullptr, discrete, continuous});
    for (int j = 0; j < n; j++)
      world.move(state + (size_t)j * V, {discrete + j, continuous + (size_t)j * numbers}, reward[j], terminated[j]);
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
        if (e.visited && !greedy[j]) e.visited[(int64_t)state[(size_t)j * V]] = 1;
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

// Running episodes of one seed, [episode] unless said otherwise, each of which starts anew when it ends.
struct Segments {
  int count;
  int64_t horizon, steps;
  double *state;           // [episode][variable]
  int64_t *clock;          // steps of the running episode
  double *returns;         // of the running episode
  const double *starts;    // [episode][variable] where the next episode starts
  uint8_t *ready;          // whether `starts` holds that
  float *observations;     // [episode][steps][feature]
  float *after;            // [episode][steps][feature] what an episode that was cut off would have shown next
  int64_t *discrete;       // [episode][steps]
  float *continuous;       // [episode][steps][dimension]
  double *rewards;         // [episode][steps]
  double *totals;          // [episode][steps] returns of the episodes that end there
  double *last;            // [episode][steps][variable] where the episodes that end there end
  uint8_t *over;           // [episode][steps]: 0, 1 terminated, 2 cut off
  const float *noise;      // [episode][steps][number]
  uint8_t *visited;        // [state]; null: states have no numbers
};

// Plays from step `begin` on until the end, or until a next start is missing; returns how far it came.
template <class Environment>
static int64_t play_segments(const Environment &world, Actor &actor, const Segments &e, int64_t begin, Scratch &scratch) {
  constexpr int V = Environment::VARIABLES;
  const size_t F = world.FEATURES;
  const int K = e.count, numbers = actor.net.shape.numbers();
  float *x = scratch.floats(K * F), *noise = scratch.floats((size_t)K * numbers);
  float *continuous = scratch.floats((size_t)K * numbers);
  int64_t *discrete = (int64_t *)scratch.doubles(K);
  if (scratch.failed) return -1;
  for (int64_t t = begin; t < e.steps; t++) {
    for (int k = 0; k < K; k++)
      if (!e.ready[k]) return t;
    for (int k = 0; k < K; k++) {
      world.observe(e.state + (size_t)k * V, x + k * F);
      if (e.visited) e.visited[(int64_t)e.state[(size_t)k * V]] = 1;
      size_t at = k * e.steps + t;
      memcpy(e.observations + at * F, x + k * F, sizeof(float) * F);
      memcpy(noise + (size_t)k * numbers, e.noise + at * numbers, sizeof(float) * numbers);
    }
    actor.act(K, x, {noise, nullptr, discrete, continuous});
    for (int k = 0; k < K; k++) {
      double *own = e.state + (size_t)k * V, reward;
      int64_t terminated;
      size_t at = k * e.steps + t;
      world.move(own, {discrete + k, continuous + (size_t)k * numbers}, reward, terminated);
      if (e.discrete) e.discrete[at] = discrete[k];
      if (e.continuous)
        memcpy(e.continuous + at * numbers, continuous + (size_t)k * numbers, sizeof(float) * numbers);
      e.rewards[at] = reward;
      e.returns[k] += reward;
      if (e.visited) e.visited[(int64_t)own[0]] = 1;
      bool cut = ++e.clock[k] >= e.horizon;
      e.over[at] = terminated ? 1 : cut ? 2 : 0;
      if (!e.over[at]) continue;
      if (!terminated) world.observe(own, e.after + at * F);
      memcpy(e.last + at * V, own, sizeof(double) * V);
      e.totals[at] = e.returns[k];
      e.returns[k] = 0, e.clock[k] = 0, e.ready[k] = 0;
      memcpy(own, e.starts + (size_t)k * V, sizeof(double) * V);
      if (e.visited) e.visited[(int64_t)own[0]] = 1;
    }
  }
  return e.steps;
}

}  // namespace engine
