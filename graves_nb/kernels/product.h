/* Products of small and of large matrices, with weights laid out beforehand in the order in which they are read, of one of these kinds:
   - FLOATS: float32 throughout;
   - HALVES: the weights are stored in half precision, and are float32 once they are read;
   - PAIRS: both factors are bfloat16, two neighbouring inputs in a word of 32 bits, and sums are float32. Only where MULTIPLIES_PAIRS;
   - WHOLES: both factors are whole numbers of 16 bits, two neighbouring inputs in a word, and sums are whole numbers of 32 bits.
   A row of the result is summed in the order of the inputs, one after the other, so its numbers do not depend on the rows beside
   it. Included by the kernels that need it. */

#ifndef GRAVES_PRODUCT_H
#define GRAVES_PRODUCT_H
#include <string.h>

enum { FLOATS, HALVES, PAIRS, WHOLES };

/* vectors of W floats, of which TALL rows and two of each fill the registers; weights lie in panels of P = 2 W outputs, (outputs / P,
   inputs, P), the last one padded */
#ifdef __AVX512F__
enum { W = 16, TALL = 8 };
#else
enum { W = 8, TALL = 6 };
#endif
#define P (2 * W)
typedef float vec __attribute__((vector_size(4 * W), aligned(4), may_alias));

#ifdef __AVX2__
#include <immintrin.h>
#endif
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

#ifdef __AVX512BF16__
#define MULTIPLIES_PAIRS 1
/* W words, of a first and a second bfloat16 each */
static inline __m512i pair_up(__m512 first, __m512 second) {
    __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(first));
    return _mm512_or_si512(low, _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(second)), 16));
}
#else
#define MULTIPLIES_PAIRS 0
#endif

/* Compilers read a vector of weights from memory for each row anew, and loads are what a narrow tile waits for. */
#if defined(__AVX__)
#define KEEP(v) __asm__("" : "+v"(v))
#else
#define KEEP(v) (void)(v)
#endif

/* the same for words that are pairs of whole numbers */
static inline __attribute__((always_inline)) vec add_pairs(vec sum, vec w, float x) {
#if defined(__AVX512VNNI__)
    return (vec)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)w, (__m512i)_mm512_set1_ps(x));
#elif defined(__AVX512BW__)
    return (vec)_mm512_add_epi32((__m512i)sum, _mm512_madd_epi16((__m512i)w, (__m512i)_mm512_set1_ps(x)));
#elif defined(__AVX2__) && !defined(__AVX512F__)
    return (vec)_mm256_add_epi32((__m256i)sum, _mm256_madd_epi16((__m256i)w, (__m256i)_mm256_set1_ps(x)));
#else
    union { vec v; int n[W]; short pairs[2 * W]; } s = {sum}, u = {w};
    union { float f; short pair[2]; } y = {x};
    for (int k = 0; k < W; k++) s.n[k] += u.pairs[2 * k] * y.pair[0] + u.pairs[2 * k + 1] * y.pair[1];
    return s.v;
#endif
}

/* sum + w x, of W words of weights and one of x */
static inline __attribute__((always_inline)) vec multiply_add(const int kind, vec sum, vec w, float x) {
#if MULTIPLIES_PAIRS
    if (kind == PAIRS) return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)w, (__m512bh)_mm512_set1_ps(x));
#endif
    if (kind == WHOLES) return add_pairs(sum, w, x);
    return sum + w * x;
}

/* words of a row of numbers: as many as there are, or half as many pairs */
static inline long words(long kind, long inputs) { return kind == PAIRS ? (inputs + 1) / 2 : inputs; }

/* rows of numbers as a product of that kind takes them: themselves, or pairs, made in `memory`; their stride is changed accordingly */
static inline const float *factors(long kind, long rows, long inputs, const float *x, long *stride, float *memory) {
#if MULTIPLIES_PAIRS
    if (kind == PAIRS) {
        const long size = words(kind, inputs);
        for (long r = 0; r < rows; r++, x += *stride) {
            long i = 0;
            for (; i + 2 * W <= inputs; i += 2 * W)
                _mm512_storeu_si512(memory + r * size + i / 2,
                                    (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + W), _mm512_loadu_ps(x + i)));
            for (; i < inputs; i += 2) {
                __m512i word = pair_up(_mm512_set1_ps(x[i]), _mm512_set1_ps(i + 1 < inputs ? x[i + 1] : 0.0f));
                memcpy(memory + r * size + i / 2, &word, sizeof(float));
            }
        }
        *stride = size;
        return memory;
    }
#endif
    return x;
}

static inline long panels_of(long outputs) { return (outputs + P - 1) / P; }

/* R rows times J panels: y (R, y_stride) += x times the panels' weights, summed in order of the inputs; word i of row r lies at
   x[r * x_stride + i * x_step] */
static inline __attribute__((always_inline)) void tile(const int R, const int J, const int kind, long inputs, const char *panels,
                                                       const float *x, long x_stride, long x_step, float *y, long y_stride) {
    vec sum[TALL][8];
    const long size = kind == HALVES ? sizeof(half) : sizeof(float);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int j = 0; j < 2 * J; j++) sum[r][j] = *(vec *)(y + r * y_stride + j * W);
    for (long i = 0; i < inputs; i++) {
        vec w[8];
#pragma GCC unroll 8
        for (int j = 0; j < 2 * J; j++) {
            const char *at = panels + ((j / 2 * inputs + i) * P + j % 2 * W) * size;
            w[j] = kind == HALVES ? from_half((const half *)at) : *(const vec *)at;
            if (J == 1 && R > 1) KEEP(w[j]);
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            float xi;
            memcpy(&xi, x + r * x_stride + i * x_step, sizeof xi); /* whatever it is that x points to */
#pragma GCC unroll 8
            for (int j = 0; j < 2 * J; j++) sum[r][j] = multiply_add(kind, sum[r][j], w[j], xi);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int j = 0; j < 2 * J; j++) *(vec *)(y + r * y_stride + j * W) = sum[r][j];
}

/* the same for 1 to TALL rows */
static inline __attribute__((always_inline)) void few_rows(const int kind, long rows, long inputs, const char *panels, const float *x,
                                                           long x_stride, long x_step, float *y, long y_stride) {
#define CASE(R) \
    case R: if (R <= TALL) tile(R <= TALL ? R : 1, 1, kind, inputs, panels, x, x_stride, x_step, y, y_stride); break
    switch (rows) { CASE(8); CASE(7); CASE(6); CASE(5); CASE(4); CASE(3); CASE(2); CASE(1); }
#undef CASE
}

/* rows of the next tile where so many are left: tiles are about equally tall, as narrow ones are slow */
static inline long tall(long left) {
    long tiles = (left + TALL - 1) / TALL;
    return tiles ? (left + tiles - 1) / tiles : 0;
}

/* y (rows, y_stride) += x times all panels, `inputs` words long; the rows of one panel follow each other, so it stays near. The TALL rows
   of a tile begin at x + r * x_tile. */
static inline __attribute__((always_inline)) void product_of(const int kind, long rows, long outputs, long inputs, const char *weights,
                                                             const float *x, long x_tile, long x_stride, long x_step, float *y,
                                                             long y_stride) {
    const long panel = P * inputs * (kind == HALVES ? sizeof(half) : sizeof(float)), whole = outputs / P, rest = outputs % P;
    long j = 0;
#define WIDE(R, J) tile(R, J, kind, inputs, weights + j * panel, x, x_stride, x_step, y + j * P, y_stride)
    if (rows == 1) /* too few sums to keep the processor busy in one panel */
        for (; j + 4 <= whole; j += 4) WIDE(1, 4);
    else if (rows == 2)
        for (; j + 2 <= whole; j += 2) WIDE(2, 2);
    else if (rows == 3 && (TALL == 8 || kind == FLOATS)) /* 12 sums and 4 vectors of weights in registers are too many for AVX2 */
        for (; j + 2 <= whole; j += 2) WIDE(3, 2);
#undef WIDE
    for (; j < panels_of(outputs); j++)
        for (long r = 0, few; r < rows; r += few) {
            few = x_tile == x_stride ? tall(rows - r) : rows - r < TALL ? rows - r : TALL;
            long to = y_stride;
            float edge[TALL * P], *at = y + r * y_stride + j * P;
            if (j == whole) { /* the last panel is wider than what is left of a row */
                for (long q = 0; q < few; q++) memcpy(edge + q * P, at + q * y_stride, rest * sizeof(float));
                at = edge, to = P;
            }
            few_rows(kind, few, inputs, weights + j * panel, x + r * x_tile, x_stride, x_step, at, to);
            for (long q = 0; j == whole && q < few; q++) memcpy(y + (r + q) * y_stride + j * P, edge + q * P, rest * sizeof(float));
        }
}

/* y (rows, y_stride) += x (rows, x_stride) times packed weights of some kind; memory: rows times words(kind, inputs) floats for PAIRS */
static void add_product(long kind, long rows, long outputs, long inputs, const void *weights, const float *x, long x_stride, float *y,
                        long y_stride, float *memory) {
    x = factors(kind, rows, inputs, x, &x_stride, memory);
    inputs = words(kind, inputs);
#define PRODUCT(K) product_of(K, rows, outputs, inputs, weights, x, x_stride, x_stride, 1, y, y_stride)
    if (kind == HALVES) PRODUCT(HALVES);
    else if (kind == PAIRS) PRODUCT(PAIRS);
    else PRODUCT(FLOATS);
#undef PRODUCT
}

/* the same for WHOLES: x (rows, x_stride) is of short, `inputs` and x_stride are even, y is of int */
static inline void add_whole(long rows, long outputs, long inputs, const void *weights, const short *x, long x_stride, int *y,
                             long y_stride) {
    product_of(WHOLES, rows, outputs, inputs / 2, weights, (const float *)x, x_stride / 2, x_stride / 2, 1, (float *)y, y_stride);
}

#endif
