/* Products of small and of large matrices in float32, with weights laid out beforehand in the order in which they are read.
   A row of the result is summed in the order of the inputs, one after the other, so its numbers do not depend on the rows beside
   it. Included by the kernels that need it. */

#ifndef GRAVES_PRODUCT_H
#define GRAVES_PRODUCT_H
#include <string.h>

/* vectors of W floats; weights lie in panels of P = 2 W outputs, (outputs / P, inputs, P), the last one padded */
#ifdef __AVX512F__
#define W 16
#else
#define W 8
#endif
#define P (2 * W)
typedef float vec __attribute__((vector_size(4 * W), aligned(4), may_alias));

#ifdef __F16C__
#include <immintrin.h>
typedef unsigned short half;
#ifdef __AVX512F__
static inline vec from_half(const half *p) { return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
#else
static inline vec from_half(const half *p) { return (vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
#endif
static inline half to_half(float x) { return _cvtss_sh(x, 0); }
#else
typedef _Float16 half;
static inline vec from_half(const half *p) {
    vec v;
    for (int k = 0; k < W; k++) v[k] = (float)p[k];
    return v;
}
static inline half to_half(float x) { return (half)x; }
#endif

static inline long panels_of(long outputs) { return (outputs + P - 1) / P; }

/* R rows times J panels: y (R, y_stride) += x times the panels' weights, summed in order of the inputs; input i of row r lies at
   x[r * x_stride + i * x_step] */
static inline __attribute__((always_inline)) void tile(const int R, const int J, const int narrow, long inputs, const char *panels,
                                                       const float *x, long x_stride, long x_step, float *y, long y_stride) {
    vec sum[6][8];
    const long size = narrow ? sizeof(half) : sizeof(float);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int j = 0; j < 2 * J; j++) sum[r][j] = *(vec *)(y + r * y_stride + j * W);
    for (long i = 0; i < inputs; i++) {
        vec w[8];
#pragma GCC unroll 8
        for (int j = 0; j < 2 * J; j++) {
            const char *at = panels + ((j / 2 * inputs + i) * P + j % 2 * W) * size;
            w[j] = narrow ? from_half((const half *)at) : *(const vec *)at;
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            float xi = x[r * x_stride + i * x_step];
#pragma GCC unroll 8
            for (int j = 0; j < 2 * J; j++) sum[r][j] += w[j] * xi;
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int j = 0; j < 2 * J; j++) *(vec *)(y + r * y_stride + j * W) = sum[r][j];
}

/* y (rows, y_stride) += x times all panels; the rows of one panel follow each other, so it stays near. The six rows of a tile begin
   at x + r * x_tile. */
static inline __attribute__((always_inline)) void product_of(const int narrow, long rows, long outputs, long inputs, const char *weights,
                                                             const float *x, long x_tile, long x_stride, long x_step, float *y,
                                                             long y_stride) {
    const long panel = P * inputs * (narrow ? sizeof(half) : sizeof(float)), whole = outputs / P, rest = outputs % P;
    long j = 0;
#define TILE(R, J, Y, STRIDE) tile(R, J, narrow, inputs, weights + j * panel, x + r * x_tile, x_stride, x_step, Y, STRIDE)
#define ROWS(Y, STRIDE)                                     \
    do {                                                    \
        for (; r + 6 <= rows; r += 6) TILE(6, 1, Y, STRIDE); \
        switch (rows - r) {                                 \
            case 5: TILE(5, 1, Y, STRIDE); break;           \
            case 4: TILE(4, 1, Y, STRIDE); break;           \
            case 3: TILE(3, 1, Y, STRIDE); break;           \
            case 2: TILE(2, 1, Y, STRIDE); break;           \
            case 1: TILE(1, 1, Y, STRIDE); break;           \
        }                                                   \
    } while (0)
    if (rows == 1) /* too few sums to keep the processor busy in one panel */
        for (long r = 0; j + 4 <= whole; j += 4) TILE(1, 4, y + j * P, y_stride);
    else if (rows <= 3)
        for (long r = 0; j + 2 <= whole; j += 2) {
            if (rows == 2) TILE(2, 2, y + j * P, y_stride);
            else TILE(3, 2, y + j * P, y_stride);
        }
    for (; j < whole; j++) {
        long r = 0;
        ROWS(y + r * y_stride + j * P, y_stride);
    }
    if (rest) { /* the last panel is wider than what is left of a row */
        for (long first = 0; first < rows; first += 6) {
            float edge[6 * P];
            long r = first, end = first + 6 < rows ? first + 6 : rows;
            for (long q = first; q < end; q++) memcpy(edge + (q - first) * P, y + q * y_stride + j * P, rest * sizeof(float));
            switch (end - first) {
                case 6: TILE(6, 1, edge, P); break;
                case 5: TILE(5, 1, edge, P); break;
                case 4: TILE(4, 1, edge, P); break;
                case 3: TILE(3, 1, edge, P); break;
                case 2: TILE(2, 1, edge, P); break;
                case 1: TILE(1, 1, edge, P); break;
            }
            for (long q = first; q < end; q++) memcpy(y + q * y_stride + j * P, edge + (q - first) * P, rest * sizeof(float));
        }
    }
#undef ROWS
#undef TILE
}

static void add_product(long narrow, long rows, long outputs, long inputs, const void *weights, const float *x, long x_stride,
                        float *y, long y_stride) {
    if (narrow) product_of(1, rows, outputs, inputs, weights, x, x_stride, x_stride, 1, y, y_stride);
    else product_of(0, rows, outputs, inputs, weights, x, x_stride, x_stride, 1, y, y_stride);
}

#endif
