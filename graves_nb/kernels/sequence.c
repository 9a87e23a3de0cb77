/* Whole sequences of a peephole LSTM layer, alone or coupled to a window over the text, forwards and backwards in time, for some
   of the rows of a batch: rows do not wait for each other, so threads take shares of them. Tensors are time-major. The equations are
   those of Graves (2013); graves_nb.lstm and graves_nb.synthesis hold the same loops in torch operations. */

#include <stdlib.h>

#include "product.h"

void cell_forward(long rows, long n, float *gates, const float *c_prev, float *c, float *h, long h_stride, const float *peephole,
                  float scale);
void cell_backward(long rows, long n, float *gates, const float *c_prev, const float *c, const float *dh, long dh_stride,
                   const float *dh_out, float *dc, const float *peephole, float *dpeephole, float clip, float scale);
void window_forward(long rows, long m, long chars, float *p, const float *kappa_prev, float *kappa, const long long *index,
                    const float *mask, float *w, long w_stride);
void window_backward(long rows, long m, long chars, long symbols, float *dp, float *dkappa, const float *dw, long dw_stride,
                     const float *dw_out, const float *p, const float *kappa, const long long *index, const float *mask);

long multiplies_pairs(void) { return MULTIPLIES_PAIRS; }

/* words of a packed matrix, (outputs rounded up to whole panels, inputs) */
long packed_size(long kind, long outputs, long inputs) { return panels_of(outputs) * P * words(kind, inputs); }

/* rounded to the nearest, to even if there are two; NaN, whose last bits may be all that makes it one, stays NaN */
static float bfloat_word(float first, float second) {
    unsigned int word[2] = {0};
    float both[2] = {first, second}, made;
    memcpy(word, both, sizeof word);
    for (int k = 0; k < 2; k++) {
        if (both[k] != both[k]) word[k] |= 0x400000;
        else word[k] += 0x7fff + (word[k] >> 16 & 1);
    }
    word[0] = word[0] >> 16 | (word[1] & 0xffff0000u);
    memcpy(&made, word, sizeof made);
    return made;
}

/* weights, of which output o and input i lie at o * step_out + i * step_in, into panels of a kind */
void pack(long kind, long outputs, long inputs, const float *weights, long step_out, long step_in, void *panels) {
    const long size = words(kind, inputs);
    for (long j = 0; j < panels_of(outputs); j++)
        for (long i = 0; i < size; i++)
            for (long k = 0; k < P; k++) {
                long o = j * P + k, place = (j * size + i) * P + k;
                const float *w = weights + o * step_out;
#define WEIGHT(I) (o < outputs && (I) < inputs ? w[(I) * step_in] : 0.0f)
                if (kind == HALVES) ((half *)panels)[place] = to_half(WEIGHT(i));
                else ((float *)panels)[place] = kind == PAIRS ? bfloat_word(WEIGHT(2 * i), WEIGHT(2 * i + 1)) : WEIGHT(i);
#undef WEIGHT
            }
}

/* y (rows, outputs) += x (rows, inputs) times packed weights, some rows at a time, whose x stays near while all weights pass;
   memory: (rows, words of the inputs) */
void multiply(long kind, long rows, long outputs, long inputs, const void *panels, const float *x, float *y, float *memory) {
    for (long r = 0; r < rows; r += 48) {
        long few = rows - r < 48 ? rows - r : 48;
        add_product(kind, few, outputs, inputs, panels, x + r * inputs, inputs, y + r * outputs, outputs, memory);
    }
}

/* word i of `count` numbers each: from row i of b (rows, stride), or from rows 2 i and 2 i + 1 of it; those past the last row are zero */
static void gather(long kind, long i, long rows, long count, const float *b, long stride, float *to) {
#if MULTIPLIES_PAIRS
    if (kind == PAIRS) {
        const float *first = b + 2 * i * stride;
        for (long k = 0; k < count; k += W) {
            __mmask16 some = count - k < W ? (1u << (count - k)) - 1 : 0xffff;
            __m512 second = 2 * i + 1 < rows ? _mm512_maskz_loadu_ps(some, first + stride + k) : _mm512_setzero_ps();
            _mm512_mask_storeu_epi32(to + k, some, pair_up(_mm512_maskz_loadu_ps(some, first + k), second));
        }
        return;
    }
#endif
    memcpy(to, b + i * stride, count * sizeof(float));
}

/* y (rows, columns) += a (many, rows) transposed times b (many, columns), for rows (from, to): 0 if there was no memory, else 1 */
long add_outer(long kind, long from, long to, long many, long rows, long columns, const float *a, const float *b, float *y) {
    enum { SOME = 256, FEW = 48 };
    const size_t room = SOME * panels_of(columns) * P * sizeof(float);
    float near[SOME * FEW], *packed = aligned_alloc(64, room); /* vectors that cross lines of the cache take twice as long to read */
    if (!packed) return 0;
    memset(packed, 0, room);
    for (long start = 0; start < many; start += SOME) {
        const long some = many - start < SOME ? many - start : SOME, size = words(kind, some);
        for (long i = 0; i < size; i++)
            for (long j = 0; j < columns; j += P)
                gather(kind, i, some, columns - j < P ? columns - j : P, b + start * columns + j, columns, packed + j * size + i * P);
        for (long r = from; r < to; r += FEW) {
            long few = to - r < FEW ? to - r : FEW;
            for (long i = 0; i < size; i++) gather(kind, i, some, few, a + start * rows + r, rows, near + i * FEW);
#define PRODUCT(K) product_of(K, few, columns, size, (const char *)packed, near, 1, 1, FEW, y + r * columns, columns)
            if (kind == PAIRS) PRODUCT(PAIRS);
            else PRODUCT(FLOATS);
#undef PRODUCT
        }
    }
    free(packed);
    return 1;
}

/* rows (from, to) of gates (steps, batch, 4 n): inputs and bias already in it, replaced by activations; h (steps + 1, batch, n) and c
   the same, their first step given; packed, of some kind: (4 n, n); memory: (batch, words of the inputs of the product) */
void lstm_forward(long from, long to, long steps, long batch, long n, long kind, float *gates, float *h, float *c, const void *packed,
                  const float *peephole, float *memory, float scale) {
    memory += from * words(kind, n);
    for (long t = 0; t < steps; t++) {
        float *g = gates + (t * batch + from) * 4 * n;
        long now = (t * batch + from) * n, next = now + batch * n;
        add_product(kind, to - from, 4 * n, n, packed, h + now, n, g, 4 * n, memory);
        cell_forward(to - from, n, g, c + now, c + next, h + next, n, peephole, scale);
    }
}

/* gates: activations; dgates receives derivatives; dh (batch, n): from after the last step to before the first; packed: (n, 4 n);
   dpeephole (3, n) is added to */
void lstm_backward(long from, long to, long steps, long batch, long n, long kind, const float *gates, float *dgates, const float *c,
                   float *dh, const float *dh_out, float *dc, const void *packed, const float *peephole, float *dpeephole, float clip,
                   float *memory, float scale) {
    memory += from * words(kind, 4 * n);
    for (long t = steps - 1; t >= 0; t--) {
        long now = (t * batch + from) * n, next = now + batch * n, rows = to - from;
        float *g = dgates + 4 * now, *d = dh + from * n;
        memcpy(g, gates + 4 * now, rows * 4 * n * sizeof(float));
        cell_backward(rows, n, g, c + now, c + next, d, n, dh_out + now, dc + from * n, peephole, dpeephole, clip, scale);
        memset(d, 0, rows * n * sizeof(float));
        add_product(kind, rows, n, 4 * n, packed, g, 4 * n, d, n, memory);
    }
}

/* the same with the window after the layer: hw (steps + 1, batch, n + symbols), its later steps zero where the window is; p (steps,
   batch, 3 k): the window's bias in it, replaced by exponentials; kappa (steps + 1, batch, k); packed: (4 n, n + symbols), and (3 k, n)
   in float32 */
void window_lstm_forward(long from, long to, long steps, long batch, long n, long symbols, long k, long chars, long kind, float *gates,
                         float *hw, float *c, float *p, float *kappa, const long long *index, const float *mask, const void *packed,
                         const void *packed_window, const float *peephole, float *memory, float scale) {
    const long wide = n + symbols, rows = to - from;
    memory += from * words(kind, wide);
    for (long t = 0; t < steps; t++) {
        long at = t * batch + from, next = at + batch;
        float *g = gates + at * 4 * n, *h = hw + next * wide, *q = p + at * 3 * k;
        add_product(kind, rows, 4 * n, wide, packed, hw + at * wide, wide, g, 4 * n, memory);
        cell_forward(rows, n, g, c + at * n, c + next * n, h, wide, peephole, scale);
        add_product(FLOATS, rows, 3 * k, n, packed_window, h, wide, q, 3 * k, NULL);
        window_forward(rows, k, chars, q, kappa + at * k, kappa + next * k, index + from * chars, mask + from * chars, h + n, wide);
    }
}

/* dhw (batch, n + symbols) and dkappa (batch, k): from after the last step to before the first; dh_out, dw_out, dkappa_out: derivatives
   from above, of which dh_out is added to; dp (steps, batch, 3 k) receives; packed: (n + symbols, 4 n), and (n, 3 k) in float32 */
void window_lstm_backward(long from, long to, long steps, long batch, long n, long symbols, long k, long chars, long kind, const float *gates,
                          float *dgates, const float *c, const float *p, const float *kappa, float *dp, float *dhw, float *dh_out, const float *dw_out,
                          float *dc, float *dkappa, const float *dkappa_out, const long long *index, const float *mask,
                          const void *packed, const void *packed_window, const float *peephole, float *dpeephole, float clip,
                          float *memory, float scale) {
    const long wide = n + symbols, rows = to - from;
    memory += from * words(kind, 4 * n);
    for (long t = steps - 1; t >= 0; t--) {
        long at = t * batch + from, next = at + batch;
        float *g = dgates + at * 4 * n, *d = dhw + from * wide, *dk = dkappa + from * k;
        for (long i = 0; i < rows * k; i++) dk[i] += dkappa_out[at * k + i];
        window_backward(rows, k, chars, symbols, dp + at * 3 * k, dk, d + n, wide, dw_out + at * symbols, p + at * 3 * k,
                        kappa + next * k, index + from * chars, mask + from * chars);
        add_product(FLOATS, rows, n, 3 * k, packed_window, dp + at * 3 * k, 3 * k, dh_out + at * n, n, NULL);
        memcpy(g, gates + at * 4 * n, rows * 4 * n * sizeof(float));
        cell_backward(rows, n, g, c + at * n, c + next * n, d, wide, dh_out + at * n, dc + from * n, peephole, dpeephole, clip, scale);
        memset(d, 0, rows * wide * sizeof(float));
        add_product(kind, rows, wide, 4 * n, packed, g, 4 * n, d, wide, memory);
    }
}
