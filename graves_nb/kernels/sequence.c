/* Whole sequences of a peephole LSTM layer, alone or coupled to a window over the text, forwards and backwards in time, for some
   of the rows of a batch: rows do not wait for each other, so threads take shares of them. Tensors are time-major. The equations are
   those of Graves (2013); graves_nb.lstm and graves_nb.synthesis hold the same loops in torch operations. */

#include <stdlib.h>

#include "product.h"

void cell_forward(long rows, long n, float *gates, const float *c_prev, float *c, float *h, long h_stride, const float *peephole);
void cell_backward(long rows, long n, float *gates, const float *c_prev, const float *c, const float *dh, long dh_stride,
                   const float *dh_out, float *dc, const float *peephole, float *dpeephole, float clip);
void window_forward(long rows, long m, long chars, float *p, const float *kappa_prev, float *kappa, const long long *index,
                    const float *mask, float *w, long w_stride);
void window_backward(long rows, long m, long chars, long symbols, float *dp, float *dkappa, const float *dw, long dw_stride,
                     const float *dw_out, const float *p, const float *kappa, const long long *index, const float *mask);

/* floats of a packed matrix, (outputs rounded up to whole panels, inputs) */
long packed_size(long outputs, long inputs) { return panels_of(outputs) * P * inputs; }

/* weights, of which output o and input i lie at o * step_out + i * step_in, into panels of halves if narrow, else of floats */
void pack(long outputs, long inputs, long narrow, const float *weights, long step_out, long step_in, void *panels) {
    for (long j = 0; j < panels_of(outputs); j++)
        for (long i = 0; i < inputs; i++)
            for (long k = 0; k < P; k++) {
                long o = j * P + k, place = (j * inputs + i) * P + k;
                float w = o < outputs ? weights[o * step_out + i * step_in] : 0.0f;
                if (narrow) ((half *)panels)[place] = to_half(w);
                else ((float *)panels)[place] = w;
            }
}

/* y (rows, outputs) += x (rows, inputs) times packed weights, some rows at a time, whose x stays near while all weights pass */
void multiply(long rows, long outputs, long inputs, const float *panels, const float *x, float *y) {
    for (long r = 0; r < rows; r += 48) {
        long few = rows - r < 48 ? rows - r : 48;
        add_product(0, few, outputs, inputs, panels, x + r * inputs, inputs, y + r * outputs, outputs);
    }
}

/* y (rows, columns) += a (many, rows) transposed times b (many, columns), for rows (from, to): 0 if there was no memory, else 1 */
long add_outer(long from, long to, long many, long rows, long columns, const float *a, const float *b, float *y) {
    enum { SOME = 256, FEW = 48 };
    float near[SOME * FEW], *packed = malloc(sizeof(float) * SOME * panels_of(columns) * P);
    if (!packed) return 0;
    for (long start = 0; start < many; start += SOME) {
        long some = many - start < SOME ? many - start : SOME;
        pack(columns, some, 0, b + start * columns, 1, columns, packed);
        for (long r = from; r < to; r += FEW) {
            long few = to - r < FEW ? to - r : FEW;
            for (long q = 0; q < few; q += 6) /* what a tile needs, together */
                for (long i = 0; i < some; i++)
                    memcpy(near + q * some + i * 6, a + (start + i) * rows + r + q, (few - q < 6 ? few - q : 6) * sizeof(float));
            product_of(0, few, columns, some, (const char *)packed, near, some, 1, 6, y + r * columns, columns);
        }
    }
    free(packed);
    return 1;
}

/* rows (from, to) of gates (steps, batch, 4 n): inputs and bias already in it, replaced by activations; h (steps + 1, batch, n) and c
   the same, their first step given; packed: (4 n, n) */
void lstm_forward(long from, long to, long steps, long batch, long n, float *gates, float *h, float *c, const float *packed,
                  const float *peephole) {
    for (long t = 0; t < steps; t++) {
        float *g = gates + (t * batch + from) * 4 * n;
        long now = (t * batch + from) * n, next = now + batch * n;
        add_product(0, to - from, 4 * n, n, packed, h + now, n, g, 4 * n);
        cell_forward(to - from, n, g, c + now, c + next, h + next, n, peephole);
    }
}

/* gates: activations, replaced by derivatives; dh (batch, n): from after the last step to before the first; packed: (n, 4 n) */
void lstm_backward(long from, long to, long steps, long batch, long n, float *gates, const float *c, float *dh, const float *dh_out,
                   float *dc, const float *packed, const float *peephole, float *dpeephole, float clip) {
    for (long t = steps - 1; t >= 0; t--) {
        float *g = gates + (t * batch + from) * 4 * n, *d = dh + from * n;
        long now = (t * batch + from) * n, next = now + batch * n;
        cell_backward(to - from, n, g, c + now, c + next, d, n, dh_out + now, dc + from * n, peephole, dpeephole, clip);
        memset(d, 0, (to - from) * n * sizeof(float));
        add_product(0, to - from, n, 4 * n, packed, g, 4 * n, d, n);
    }
}

/* the same with the window after the layer: hw (steps + 1, batch, n + symbols), its later steps zero where the window is; p (steps,
   batch, 3 k): the window's bias in it, replaced by exponentials; kappa (steps + 1, batch, k); packed: (4 n, n + symbols), (3 k, n) */
void window_lstm_forward(long from, long to, long steps, long batch, long n, long symbols, long k, long chars, float *gates, float *hw,
                         float *c, float *p, float *kappa, const long long *index, const float *mask, const float *packed,
                         const float *packed_window, const float *peephole) {
    const long wide = n + symbols, rows = to - from;
    for (long t = 0; t < steps; t++) {
        long at = t * batch + from, next = at + batch;
        float *g = gates + at * 4 * n, *h = hw + next * wide, *q = p + at * 3 * k;
        add_product(0, rows, 4 * n, wide, packed, hw + at * wide, wide, g, 4 * n);
        cell_forward(rows, n, g, c + at * n, c + next * n, h, wide, peephole);
        add_product(0, rows, 3 * k, n, packed_window, h, wide, q, 3 * k);
        window_forward(rows, k, chars, q, kappa + at * k, kappa + next * k, index + from * chars, mask + from * chars, h + n, wide);
    }
}

/* dhw (batch, n + symbols) and dkappa (batch, k): from after the last step to before the first; dh_out, dw_out, dkappa_out: derivatives
   from above, of which dh_out is added to; dp (steps, batch, 3 k) receives; packed: (n + symbols, 4 n), (n, 3 k) */
void window_lstm_backward(long from, long to, long steps, long batch, long n, long symbols, long k, long chars, float *gates,
                          const float *c, const float *p, const float *kappa, float *dp, float *dhw, float *dh_out, const float *dw_out,
                          float *dc, float *dkappa, const float *dkappa_out, const long long *index, const float *mask,
                          const float *packed, const float *packed_window, const float *peephole, float *dpeephole, float clip) {
    const long wide = n + symbols, rows = to - from;
    for (long t = steps - 1; t >= 0; t--) {
        long at = t * batch + from, next = at + batch;
        float *g = gates + at * 4 * n, *d = dhw + from * wide, *dk = dkappa + from * k;
        for (long i = 0; i < rows * k; i++) dk[i] += dkappa_out[at * k + i];
        window_backward(rows, k, chars, symbols, dp + at * 3 * k, dk, d + n, wide, dw_out + at * symbols, p + at * 3 * k,
                        kappa + next * k, index + from * chars, mask + from * chars);
        add_product(0, rows, n, 3 * k, packed_window, dp + at * 3 * k, 3 * k, dh_out + at * n, n);
        cell_backward(rows, n, g, c + at * n, c + next * n, d, wide, dh_out + at * n, dc + from * n, peephole, dpeephole, clip);
        memset(d, 0, rows * wide * sizeof(float));
        add_product(0, rows, wide, 4 * n, packed, g, 4 * n, d, wide);
    }
}
