// Vectors of floats, and the functions of them: each lane's bits depend on its own numbers alone.
//
// No call of libm, whose bits differ between its versions; every fused multiply-add is written out, and the compiler is
// told to fuse nothing itself (-ffp-contract=off). So two compilers, and builds for wider vectors, give the same bytes.
#pragma once
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace engine {

#ifdef __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif
// Sums over features are made of 16 partial sums whatever the width of the vectors.
constexpr int GROUP = 16;
constexpr int PARTS = GROUP / LANES;

typedef float Vec __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef float VecAnywhere __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

// While it lives, numbers too small to be normal (below 1.2e-38) are zero. The gradients of a policy that is sure of its
// actions are full of them, and each takes a hundred times as long as another number.
class Flushed {
 public:
  Flushed() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~Flushed() { _mm_setcsr(before_); }
  Flushed(const Flushed &) = delete;

 private:
  unsigned before_;
};

static inline Vec load(const float *p) { return *(const VecAnywhere *)p; }
static inline void store(float *p, Vec v) { *(VecAnywhere *)p = v; }
static inline int padded(int n) { return (n + GROUP - 1) / GROUP * GROUP; }

// Not {} + x: that is an addition, which makes of -0 another number and takes a third of a product's time.
#ifdef __AVX512F__
static inline Vec all(float x) { return (Vec)_mm512_set1_ps(x); }
static inline Vec fma(Vec a, Vec b, Vec c) { return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
static inline Vec root(Vec a) { return (Vec)_mm512_sqrt_ps((__m512)a); }
#else
static inline Vec all(float x) { return (Vec)_mm256_set1_ps(x); }
static inline Vec fma(Vec a, Vec b, Vec c) { return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
static inline Vec root(Vec a) { return (Vec)_mm256_sqrt_ps((__m256)a); }
#endif

// NaN stays NaN: a comparison with it is false.
static inline Vec clamped(Vec x, float low, float high) {
  x = x < all(low) ? all(low) : x;
  return x > all(high) ? all(high) : x;
}

// e^x (Cephes expf): within 2 ulp; beyond +-87 as there.
static inline Vec exponential(Vec x) {
  x = clamped(x, -87.f, 88.f);
  const Vec magic = all(12582912.f);  // 1.5 * 2^23: adding it rounds to a whole number
  Vec n = fma(x, all(1.44269504088896341f), magic) - magic;
  Vec f = fma(n, all(-0.693359375f), x);
  f = fma(n, all(2.12194440e-4f), f);
  Vec p = all(1.9875691500e-4f);
  p = fma(p, f, all(1.3981999507e-3f));
  p = fma(p, f, all(8.3334519073e-3f));
  p = fma(p, f, all(4.1665795894e-2f));
  p = fma(p, f, all(1.6666665459e-1f));
  p = fma(p, f, all(5.0000001201e-1f));
  p = fma(p, f * f, f) + all(1.f);
  Ints power = (__builtin_convertvector(n, Ints) + 127) << 23;
  return p * (Vec)power;
}

// log x (Cephes logf) of positive, normal x; NaN stays NaN.
static inline Vec logarithm(Vec x) {
  Ints bits = (Ints)x;
  Ints exponent = (bits >> 23) - 126;
  Vec m = (Vec)((bits & 0x007fffff) | 0x3f000000);
  Ints small = m < all(0.707106781186547524f);
  Vec e = __builtin_convertvector(exponent + small, Vec);
  m = m + (Vec)(small & (Ints)m) - all(1.f);
  Vec square = m * m;
  Vec p = all(7.0376836292e-2f);
  p = fma(p, m, all(-1.1514610310e-1f));
  p = fma(p, m, all(1.1676998740e-1f));
  p = fma(p, m, all(-1.2420140846e-1f));
  p = fma(p, m, all(1.4249322787e-1f));
  p = fma(p, m, all(-1.6668057665e-1f));
  p = fma(p, m, all(2.0000714765e-1f));
  p = fma(p, m, all(-2.4999993993e-1f));
  p = fma(p, m, all(3.3333331174e-1f));
  p = p * m * square;
  p = fma(e, all(-2.12194440e-4f), p);
  p = fma(square, all(-0.5f), p);
  Vec found = fma(e, all(0.693359375f), m + p);
  return x == x ? found : x;
}

// tanh x: a rational function of degrees 13 and 6 (as in Eigen, generic_fast_tanh_float), within 5 ulp.
static inline Vec hyperbolic_tangent(Vec x) {
  x = clamped(x, -7.90531110763549805f, 7.90531110763549805f);
  Vec s = x * x;
  Vec p = all(-2.76076847742355e-16f);
  p = fma(p, s, all(2.00018790482477e-13f));
  p = fma(p, s, all(-8.60467152213735e-11f));
  p = fma(p, s, all(5.12229709037114e-08f));
  p = fma(p, s, all(1.48572235717979e-05f));
  p = fma(p, s, all(6.37261928875436e-04f));
  p = fma(p, s, all(4.89352455891786e-03f));
  Vec q = all(1.19825839466702e-06f);
  q = fma(q, s, all(1.18534705686654e-04f));
  q = fma(q, s, all(2.26843463243900e-03f));
  q = fma(q, s, all(4.89352518554385e-03f));
  return x * p / q;
}

// The sum of 16 numbers, always in the same tree.
static inline float sum(const Vec *parts) {
  float t[GROUP];
  for (int v = 0; v < PARTS; v++) store(t + v * LANES, parts[v]);
  for (int half = GROUP / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) t[i] += t[i + half];
  return t[0];
}

// sin and cos in double precision (Cephes), for |x| up to 1e5 within 1e-15 of a full turn's reduction; no branches, so
// that a loop over episodes becomes vectors.
static inline void sine_cosine(double x, double &sine, double &cosine) {
  const double magic = 6755399441055744.0;  // 1.5 * 2^52
  double n = (x * 0.63661977236758134308 + magic) - magic;
  double r = __builtin_fma(n, -1.57079632679489655800, x);
  r = __builtin_fma(n, -6.12323399573676603587e-17, r);
  double s = r * r;
  double p = 1.58962301576546568060e-10;
  p = __builtin_fma(p, s, -2.50507477628578072866e-8);
  p = __builtin_fma(p, s, 2.75573136213857245213e-6);
  p = __builtin_fma(p, s, -1.98412698295895385996e-4);
  p = __builtin_fma(p, s, 8.33333333332211858878e-3);
  p = __builtin_fma(p, s, -1.66666666666666307295e-1);
  double sin_r = __builtin_fma(p * s, r, r);
  double q = -1.13585365213876817300e-11;
  q = __builtin_fma(q, s, 2.08757008419747316778e-9);
  q = __builtin_fma(q, s, -2.75573141792967388112e-7);
  q = __builtin_fma(q, s, 2.48015872888517045348e-5);
  q = __builtin_fma(q, s, -1.38888888888730564116e-3);
  q = __builtin_fma(q, s, 4.16666666666665929218e-2);
  double cos_r = __builtin_fma(q * s, s, __builtin_fma(s, -0.5, 1.0));
  double quarter = n - 4.0 * ((n * 0.25 + magic) - magic);  // -2 .. 2
  bool swapped = quarter == 1.0 || quarter == -1.0;
  double a = swapped ? cos_r : sin_r, b = swapped ? sin_r : cos_r;
  bool half = quarter == 2.0 || quarter == -2.0;
  sine = half || quarter == -1.0 ? -a : a;
  cosine = half || quarter == 1.0 ? -b : b;
}

}  // namespace engine
