// Adam (Kingma and Ba 2015, arXiv 1412.6980) with its usual betas, as training/adam.py.
#pragma once
#include "vectors.h"

namespace engine {

struct AdamStep {
  float size, unbias_square, epsilon;  // learning rate / (1 - beta1^t); 1 / (1 - beta2^t)
};

// The Euclidean norm of a gradient of whole groups.
static float norm_of(const float *gradient, int64_t count) {
  Vec parts[PARTS] = {};
  for (int64_t i = 0; i < count; i += GROUP)
    for (int v = 0; v < PARTS; v++) {
      Vec g = load(gradient + i + v * LANES);
      parts[v] = fma(g, g, parts[v]);
    }
  return root(all(sum(parts)))[0];
}

static void scale(float *gradient, int64_t count, float factor) {
  for (int64_t i = 0; i < count; i += LANES) store(gradient + i, load(gradient + i) * factor);
}

static void adam(float *parameters, float *mean, float *square, const float *gradient, int64_t count, AdamStep step) {
  for (int64_t i = 0; i < count; i += LANES) {
    Vec g = load(gradient + i), m = load(mean + i), s = load(square + i);
    m = fma(all(0.1f), g - m, m);
    s = fma(g * g, all(0.001f), s * 0.999f);
    store(mean + i, m);
    store(square + i, s);
    store(parameters + i, load(parameters + i) - step.size * m / (root(s * step.unbias_square) + step.epsilon));
  }
}

}  // namespace engine
