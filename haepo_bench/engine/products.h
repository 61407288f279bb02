// Matrix products: C [row][column] from A, any layout, and B [k][column], 16 columns at a time.
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

// C [M][N] (rows cm apart) from A (element [m][k] at m * am + k * ak) and B [K][N] (rows bk apart); N in whole groups.
template <Onto onto>
static void product(int M, int K, int N, const float *A, size_t am, size_t ak, const float *B, size_t bk, float *C,
                    size_t cm, const float *bias = nullptr) {
  for (int n = 0; n < N; n += GROUP) {
    int m = 0;
    for (; m + ROWS <= M; m += ROWS)
      block<onto, ROWS>(K, A + m * am, am, ak, B + n, bk, C + m * cm + n, cm, bias + n);
    last_block<onto, ROWS - 1>(M - m, K, A + m * am, am, ak, B + n, bk, C + m * cm + n, cm, bias + n);
  }
}

}  // namespace engine
