// Matrix products: C [row][column] from A, any layout, and B [k][column], 16 columns at a time; and how B is laid out.
//
// Each number of C is one chain of fused multiply-adds over k, whatever its row and whatever rows are beside it.
#pragma once
#include "vectors.h"

namespace engine {

// What stands in C before: a bias [column] for every row, nothing, or what the product is added to.
enum class Onto { bias, nothing, sum };

// Rows that are computed together: what fits into a processor's registers.
constexpr int ROWS = LANES == 16 ? 12 : 6;

template <Onto onto, int M>
static inline void block(int K, const float *A, size_t am, size_t ak, const float *B, size_t bk, float *C, size_t cm,
                         const float *bias) {
  Vec c[M][PARTS];
  for (int m = 0; m < M; m++)
    for (int v = 0; v < PARTS; v++) c[m][v] = onto == Onto::bias ? load(bias + v * LANES) : (Vec){};
  for (int k = 0; k < K; k++) {
    Vec b[PARTS];
    for (int v = 0; v < PARTS; v++) b[v] = load(B + k * bk + v * LANES);
#pragma GCC unroll 12
    for (int m = 0; m < M; m++) {
      Vec a = all(A[m * am + k * ak]);
#pragma GCC unroll 2
      for (int v = 0; v < PARTS; v++) c[m][v] = fma(a, b[v], c[m][v]);
    }
  }
  for (int m = 0; m < M; m++)
    for (int v = 0; v < PARTS; v++) {
      float *to = C + m * cm + v * LANES;
      store(to, onto == Onto::sum ? load(to) + c[m][v] : c[m][v]);
    }
}

template <Onto onto, int M>
static inline void last_block(int rows, int K, const float *A, size_t am, size_t ak, const float *B, size_t bk, float *C,
                              size_t cm, const float *bias) {
  if constexpr (M > 0) {
    if (rows == M)
      block<onto, M>(K, A, am, ak, B, bk, C, cm, bias);
    else
      last_block<onto, M - 1>(rows, K, A, am, ak, B, bk, C, cm, bias);
  }
}

// A second factor [k][column], of which a product takes 16 columns at a time: element [k] of a group at k * row, the
// next group `group` further.
struct Columns {
  const float *first;
  size_t row, group;
};

// As rows [k][column], `apart` from each other.
static inline Columns rows_of(const float *first, size_t apart) { return {first, apart, GROUP}; }
// In panels [column / 16][K][16].
static inline Columns panels(const float *first, int K) { return {first, GROUP, (size_t)K * GROUP}; }

// C [M][N] (rows cm apart) from A (element [m][k] at m * am + k * ak) and B [K][N]; N in whole groups.
template <Onto onto>
static void product(int M, int K, int N, const float *A, size_t am, size_t ak, Columns B, float *C, size_t cm,
                    const float *bias = nullptr) {
  for (int n = 0; n < N; n += GROUP) {
    const float *b = B.first + n / GROUP * B.group;
    int m = 0;
    for (; m + ROWS <= M; m += ROWS)
      block<onto, ROWS>(K, A + m * am, am, ak, b, B.row, C + m * cm + n, cm, bias + n);
    last_block<onto, ROWS - 1>(M - m, K, A + m * am, am, ak, b, B.row, C + m * cm + n, cm, bias + n);
  }
}

// Eight rows of eight floats, turned.
static inline void turn(const float *from, size_t apart, float *to, size_t row) {
  __m256 a[8], b[8];
  for (int i = 0; i < 8; i++) a[i] = _mm256_loadu_ps(from + i * apart);
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      a[i + 2 * j] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0x44);
      a[i + 2 * j + 1] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0xee);
    }
  for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(to + i * row, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * row, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
  }
}

// Weights [column][K] to panels; the padding stays as it is. Moved one by one, numbers of wide layers would each fetch
// another cache line.
static void to_panels(const float *weights, int columns, int K, float *to) {
  for (int n = 0; n < columns; n += 8) {
    const float *from = weights + (size_t)n * K;
    float *panel = to + (size_t)(n / GROUP) * K * GROUP + n % GROUP;
    int count = columns - n < 8 ? columns - n : 8, k = 0;
    if (count == 8)
      for (; k + 8 <= K; k += 8) turn(from + k, K, panel + (size_t)k * GROUP, GROUP);
    for (; k < K; k++)
      for (int i = 0; i < count; i++) panel[(size_t)k * GROUP + i] = from[(size_t)i * K + k];
  }
}

}  // namespace engine
