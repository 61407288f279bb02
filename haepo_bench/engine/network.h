// A multilayer perceptron of one seed: activations [row][feature], rows 16 numbers padded, padding always zero.
#pragma once
#include "memory.h"
#include "products.h"

namespace engine {

constexpr int MAX_PRODUCTS = 9;
// Rows that go through the network together, so that what layers compute stays in the first caches.
constexpr int CHUNK = 96;
// Outputs up to which each is a sum over features of its own; more of them are a product like the others.
constexpr int FEW = 8;

enum Activation { TANH = 0, RELU = 1 };
enum HeadKind { CATEGORICAL = 0, GAUSSIAN = 1, LINEAR = 2 };

// The architecture, as architecture.py writes it: activation, head, products, the features of every layer, and of
// discrete actions how many an action consists of and the size of each.
struct Shape {
  int activation, head, products;
  int widths[MAX_PRODUCTS + 1];
  int parts;
  const int32_t *sizes;

  explicit Shape(const int32_t *said) : activation(said[0]), head(said[1]), products(said[2]) {
    for (int i = 0; i <= products; i++) widths[i] = said[3 + i];
    parts = said[4 + products];
    sizes = said + 5 + products;
  }
  // Numbers that an action consists of, and its noise.
  int numbers() const { return head == GAUSSIAN ? last() : parts; }
  int inputs() const { return widths[0]; }
  int last() const { return widths[products]; }
  // Numbers that the head has a row: of a Gaussian means, then logarithms of standard deviations.
  int outputs() const { return head == GAUSSIAN ? 2 * last() : last(); }
  // Floats of a row's hidden activations, all layers.
  int hidden() const {
    int total = 0;
    for (int i = 1; i < products; i++) total += padded(widths[i]);
    return total;
  }
};

// Parameters as products take them. Flat parameters hold weight [output][input] and bias of each layer, then log_std.
struct Network {
  Shape shape;
  const float *log_std = nullptr;
  // Weights [input][output] in panels, biases; weights [output][input] of all layers but the first, rows padded.
  float *onward[MAX_PRODUCTS], *bias[MAX_PRODUCTS];
  const float *back[MAX_PRODUCTS];

  Network(const Shape &s, Scratch &scratch) : shape(s) {
    for (int l = 0; l < s.products; l++) {
      size_t in = s.widths[l], out = s.widths[l + 1];
      onward[l] = scratch.floats(in * padded(out));
      back[l] = rows_[l] = l > 0 && in % GROUP ? scratch.floats(out * padded(in)) : nullptr;
      bias[l] = scratch.floats(padded(out));
    }
  }

  // Takes the parameters of a seed, which must stay where they are: rows without padding are read in their place.
  void open(const float *p) {
    for (int l = 0; l < shape.products; l++) {
      int in = shape.widths[l], out = shape.widths[l + 1];
      if (rows_[l])
        for (int o = 0; o < out; o++) memcpy(rows_[l] + (size_t)o * padded(in), p + (size_t)o * in, sizeof(float) * in);
      else
        back[l] = p;
      to_panels(p, out, in, onward[l]);
      p += (size_t)in * out;
      memcpy(bias[l], p, sizeof(float) * out);
      p += out;
    }
    log_std = shape.head == GAUSSIAN ? p : nullptr;
  }

 private:
  float *rows_[MAX_PRODUCTS];
};

template <int activation>
static inline void activate(float *x, size_t count) {
  for (size_t i = 0; i < count; i += LANES) {
    Vec v = load(x + i);
    // Of NaN neither: it stays.
    store(x + i, activation == TANH ? hyperbolic_tangent(v) : v < (Vec){} ? (Vec){} : v);
  }
}

// The head's outputs z [output][row], `ld` apart, of R rows x [row][input].
//
// h: hidden activations, layer after layer, each [rows][feature]; what belongs to these rows starts at `offset` rows.
static void forward(const Network &net, int R, const float *x, float *h, size_t rows, size_t offset, float *z, size_t ld,
                    float *spare) {
  const Shape &s = net.shape;
  const float *below = x;
  size_t wide = s.inputs();
  for (int l = 0; l + 1 < s.products; l++) {
    size_t width = padded(s.widths[l + 1]);
    float *own = h + offset * width;
    product<Onto::bias>(R, s.widths[l], (int)width, below, wide, 1, panels(net.onward[l], s.widths[l]), own, width, net.bias[l]);
    if (s.activation == TANH)
      activate<TANH>(own, R * width);
    else
      activate<RELU>(own, R * width);
    below = own, wide = width, h += rows * width;
  }
  int last = s.products - 1, outputs = s.last(), features = s.widths[last];
  if (outputs > FEW || last == 0) {
    size_t width = padded(outputs);
    product<Onto::bias>(R, features, (int)width, below, wide, 1, panels(net.onward[last], features), spare, width, net.bias[last]);
    for (int o = 0; o < outputs; o++)
      for (int r = 0; r < R; r++) z[o * ld + r] = spare[r * width + o];
  } else {
    for (int o = 0; o < outputs; o++) {
      const float *w = net.back[last] + (size_t)o * wide;
      for (int r = 0; r < R; r++) {
        Vec parts[PARTS] = {};
        for (size_t i = 0; i < wide; i += GROUP)
          for (int v = 0; v < PARTS; v++)
            parts[v] = fma(load(w + i + v * LANES), load(below + r * wide + i + v * LANES), parts[v]);
        z[o * ld + r] = sum(parts) + net.bias[last][o];
      }
    }
  }
  if (s.head == GAUSSIAN)
    for (int d = 0; d < outputs; d++)
      for (int r = 0; r < R; r++) z[(outputs + d) * ld + r] = net.log_std[d];
}

// Sums of gradients of one seed, laid out as the products leave them.
struct Gradients {
  const Shape shape;
  float *weight[MAX_PRODUCTS], *bias[MAX_PRODUCTS], *log_std;

  Gradients(const Shape &s, Scratch &scratch) : shape(s) {
    for (int l = 0; l < s.products; l++) {
      apart_[l] = apart(l) ? scratch.floats(size(l)) : nullptr;
      bias[l] = scratch.floats(padded(s.widths[l + 1]));
    }
    log_std = scratch.floats(padded(s.last()));
  }

  // Begins with nothing; the sums will be in `to`, laid out as parameters are, of which there are P, once `end` is called.
  void begin(float *to, size_t P) {
    to_ = to;
    memset(to, 0, sizeof(float) * P);
    for (int l = 0; l < shape.products; l++) {
      size_t in = shape.widths[l], out = shape.widths[l + 1];
      weight[l] = apart_[l] ? apart_[l] : to;
      if (apart_[l]) memset(apart_[l], 0, sizeof(float) * size(l));
      memset(bias[l], 0, sizeof(float) * padded(out));
      to += in * out + out;
    }
    memset(log_std, 0, sizeof(float) * padded(shape.last()));
  }
  void end() const {
    float *p = to_;
    for (int l = 0; l < shape.products; l++) {
      int in = shape.widths[l], out = shape.widths[l + 1];
      if (apart_[l])
        for (int o = 0; o < out; o++)
          for (int i = 0; i < in; i++)
            p[(size_t)o * in + i] = l == 0 ? weight[l][(size_t)i * padded(out) + o] : weight[l][(size_t)o * padded(in) + i];
      p += (size_t)in * out;
      memcpy(p, bias[l], sizeof(float) * out);
      p += out;
    }
    if (shape.head == GAUSSIAN) memcpy(p, log_std, sizeof(float) * shape.last());
  }

 private:
  float *apart_[MAX_PRODUCTS], *to_;

  // Whether sums need room of their own: rows with padding, and the first layer's, which stand [input][output], since
  // few inputs would be mostly padding.
  bool apart(int l) const { return l == 0 || shape.widths[l] % GROUP; }
  size_t size(int l) const {
    size_t in = shape.widths[l], out = shape.widths[l + 1];
    return l == 0 ? in * padded(out) : out * padded(in);
  }
};

// The sum over R rows of numbers that are zero beyond them, to the next whole group.
static inline float over_rows(const float *x, int R) {
  Vec parts[PARTS] = {};
  for (int r = 0; r < R; r += GROUP)
    for (int v = 0; v < PARTS; v++) parts[v] += load(x + r + v * LANES);
  return sum(parts);
}

// Adds to `found` what R rows contribute, from d loss / d outputs dz [output][row], `ld` apart, zero beyond the rows.
//
// g: two pieces of CHUNK rows as wide as the widest layer.
static void backward(const Network &net, int R, const float *x, const float *h, size_t rows, size_t offset,
                     const float *dz, size_t ld, float *g[2], Gradients &found) {
  const Shape &s = net.shape;
  // Activations of each layer, the input included.
  const float *input[MAX_PRODUCTS];
  size_t wide[MAX_PRODUCTS];
  input[0] = x, wide[0] = s.inputs();
  for (int l = 1; l < s.products; l++) {
    wide[l] = padded(s.widths[l]);
    input[l] = h + offset * wide[l];
    h += rows * wide[l];
  }
  int last = s.products - 1, outputs = s.last();
  for (int o = 0; o < outputs; o++) found.bias[last][o] += over_rows(dz + o * ld, R);
  if (s.head == GAUSSIAN)
    for (int d = 0; d < outputs; d++) found.log_std[d] += over_rows(dz + (outputs + d) * ld, R);
  // d loss / d outputs of layer l: element [row][output] at row * own + output * apart.
  const float *above = dz;
  size_t own = 1, apart = ld;
  for (int l = last; l >= 0; l--) {
    int in = s.widths[l], out = s.widths[l + 1];
    if (l == 0) {
      if (last == 0) {
        // Without hidden layers dz stands [output][row]: turned, it is the second factor.
        size_t width = padded(out);
        for (int r = 0; r < R; r++)
          for (size_t o = 0; o < width; o++) g[0][r * width + o] = o < (size_t)out ? dz[o * ld + r] : 0.f;
        above = g[0], own = width;
      }
      product<Onto::sum>(in, R, padded(out), x, 1, in, rows_of(above, own), found.weight[0], padded(out));
      break;
    }
    size_t width = wide[l];
    product<Onto::sum>(out, R, (int)width, above, apart, own, rows_of(input[l], width), found.weight[l], width);
    float *below = g[l % 2];
    product<Onto::nothing>(R, out, (int)width, above, own, apart, rows_of(net.back[l], width), below, width);
    const float *a = input[l];
    for (size_t i = 0; i < R * width; i += LANES) {
      Vec v = load(a + i), d = load(below + i);
      store(below + i, s.activation == TANH ? d * (all(1.f) - v * v) : v <= (Vec){} ? (Vec){} : d);
    }
    for (size_t i = 0; i < width; i += LANES) {
      Vec total = {};
      for (int r = 0; r < R; r++) total += load(below + r * width + i);
      store(found.bias[l - 1] + i, load(found.bias[l - 1] + i) + total);
    }
    above = below, own = width, apart = 1;
  }
}

}  // namespace engine
