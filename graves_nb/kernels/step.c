/* One time step of a peephole LSTM and of the soft window, forwards and backwards, for float32 rows.
   The equations are those of Graves (2013); the notebooks 21_lstm and 26_synthesis hold the same steps
   in torch operations, which the tests compare with these, NaN and infinities included: exponential.h says what that asks of a
   compiler. Build: cc -O3 -march=native -fno-math-errno -fno-trapping-math -shared. */

#include "exponential.h"
#include "window.h"

/* as torch.clamp: NaN passes */
static inline float clamp(float x, float limit) {
    x = x > limit ? limit : x;
    return x < -limit ? -limit : x;
}

/* one row, with every pointer by itself, so that compilers see that nothing overlaps; they do not where it is inlined */
#define ROW static __attribute__((noinline)) void

/* While candidates are dropped, scale is not 1, the pre-activation of one that is dropped is endless, and in the place of its activation,
   which is no more than 1, stands DROPPED. */
#define DROPPED 2.0f

static inline float written(float g, float scale) { return g == DROPPED ? 0.0f : scale * g; }

ROW forward_row(long n, float *restrict i, float *restrict f, float *restrict g, float *restrict o, const float *restrict c_prev,
                float *restrict c, float *restrict h, const float *restrict peephole, float scale) {
    for (long k = 0; k < n; k++) i[k] = sigmoid(i[k] + peephole[k] * c_prev[k]);
    for (long k = 0; k < n; k++) f[k] = sigmoid(f[k] + peephole[n + k] * c_prev[k]);
    if (scale == 1.0f)
        for (long k = 0; k < n; k++) g[k] = tanh_(g[k]);
    else
        for (long k = 0; k < n; k++) g[k] = g[k] == INFINITY ? DROPPED : tanh_(g[k]);
    for (long k = 0; k < n; k++) c[k] = f[k] * c_prev[k] + i[k] * written(g[k], scale);
    for (long k = 0; k < n; k++) o[k] = sigmoid(o[k] + peephole[2 * n + k] * c[k]);
    for (long k = 0; k < n; k++) h[k] = o[k] * tanh_(c[k]);
}

/* gates (rows, 4n): pre-activations i, f, g, o without peepholes, replaced by activations, (7)-(11) */
void cell_forward(long rows, long n, float *gates, const float *c_prev, float *c, float *h, long h_stride,
                  const float *peephole, float scale) {
    for (long r = 0; r < rows; r++) {
        float *i = gates + r * 4 * n;
        forward_row(n, i, i + n, i + 2 * n, i + 3 * n, c_prev + r * n, c + r * n, h + r * h_stride, peephole, scale);
    }
}

ROW backward_row(long n, float *restrict i, float *restrict f, float *restrict g, float *restrict o, const float *restrict c_prev,
                 const float *restrict c, const float *restrict dh, const float *restrict dh_out, float *restrict dc,
                 const float *restrict peephole, float *restrict di_peephole, float *restrict df_peephole,
                 float *restrict do_peephole, float clip, float scale) {
    for (long k = 0; k < n; k++) {
        float d = dh[k] + dh_out[k], tc = tanh_(c[k]);
        float dov = clamp(d * tc * o[k] * (1.0f - o[k]), clip);
        float dcv = dc[k] + d * o[k] * (1.0f - tc * tc) + dov * peephole[2 * n + k];
        float div = clamp(dcv * written(g[k], scale) * i[k] * (1.0f - i[k]), clip);
        float dfv = clamp(dcv * c_prev[k] * f[k] * (1.0f - f[k]), clip);
        float dgv = clamp(g[k] == DROPPED ? 0.0f : dcv * i[k] * (scale * (1.0f - g[k] * g[k])), clip);
        di_peephole[k] += div * c_prev[k];
        df_peephole[k] += dfv * c_prev[k];
        do_peephole[k] += dov * c[k];
        dc[k] = dcv * f[k] + div * peephole[k] + dfv * peephole[n + k];
        i[k] = div; f[k] = dfv; g[k] = dgv; o[k] = dov;
    }
}

/* gates: activations, replaced by clipped derivatives by the pre-activations; dc: derivative by the cell,
   carried from the step after to the step before; dh and dh_out: the two parts of the derivative by h;
   dpeephole (3, n): is added to */
void cell_backward(long rows, long n, float *gates, const float *c_prev, const float *c, const float *dh,
                   long dh_stride, const float *dh_out, float *dc, const float *peephole, float *dpeephole, float clip, float scale) {
    for (long r = 0; r < rows; r++) {
        float *i = gates + r * 4 * n;
        backward_row(n, i, i + n, i + 2 * n, i + 3 * n, c_prev + r * n, c + r * n, dh + r * dh_stride, dh_out + r * n, dc + r * n,
                     peephole, dpeephole, dpeephole + n, dpeephole + 2 * n, clip, scale);
    }
}

/* p (rows, 3m): ahat, bhat, khat, replaced by their exponentials; w (rows, w_stride) must hold zeros, (46)-(51) */
void window_forward(long rows, long m, long chars, float *p, const float *kappa_prev, float *kappa,
                    const long long *index, const float *mask, float *w, long w_stride) {
    for (long r = 0; r < rows; r++) {
        float *a = p + r * 3 * m, *b = a + m, *s = b + m, *at = kappa + r * m, phi[chars + 1];
        for (long k = 0; k < 3 * m; k++) a[k] = exp_(a[k]);
        for (long k = 0; k < m; k++) at[k] = kappa_prev[r * m + k] + s[k];
        Span seen = window_weights(m, chars, a, b, at, phi);
        for (long u = seen.first; u < seen.end; u++) w[r * w_stride + index[r * chars + u]] += phi[u] * mask[r * chars + u];
    }
}

/* sums, in LANES parts, of dphi times a term of a Gaussian, of that times the gap, and of that times the gap again */
static inline void add_product_at(long u, float alpha, float beta, float kappa, const float *dphi, float (*sums)[LANES], int lane) {
    float gap = gap_of(kappa, u), e = alpha * exp_(-(gap * gap * beta)) * dphi[u];
    sums[0][lane] += e;
    sums[1][lane] += e * gap;
    sums[2][lane] += e * gap * gap;
}

/* The same for a span of characters, the parts added in an order that does not depend on it. dphi goes on with zeros up to a multiple of
   LANES, which add nothing to what is finite. */
static __attribute__((noinline)) void add_products(Span span, float alpha, float beta, float kappa, const float *dphi, float *total) {
    float sums[3][LANES] = {{0}};
    long u = span.first;
    if (beta >= 0.0f && beta < INFINITY && fabsf(alpha) < INFINITY)
        for (; u < span.end; u += LANES)
            for (int i = 0; i < LANES; i++) add_product_at(u + i, alpha, beta, kappa, dphi, sums, i);
    for (; u < span.end; u++) add_product_at(u, alpha, beta, kappa, dphi, sums, u % LANES);
    for (int half = LANES / 2; half; half /= 2)
        for (int j = 0; j < 3; j++)
            for (int i = 0; i < half; i++) sums[j][i] += sums[j][i + half];
    for (int j = 0; j < 3; j++) total[j] = sums[j][0];
}

/* dphi, from the derivatives by w; whether all of it is finite */
static int window_derivatives(long chars, const float *dw, const float *dw_out, const long long *index, const float *mask, float *dphi) {
    int finite = 1;
    for (long u = 0; u < chars; u++) {
        dphi[u] = (dw[index[u]] + dw_out[index[u]]) * mask[u];
        finite &= fabsf(dphi[u]) < INFINITY;
    }
    for (long u = chars; u < chars + LANES; u++) dphi[u] = 0.0f;
    return finite;
}

/* dp (rows, 3m): receives the derivatives by ahat, bhat, khat; dkappa is carried backwards in time; dw and dw_out:
   the two parts of the derivative by w, (56)-(60) */
void window_backward(long rows, long m, long chars, long symbols, float *dp, float *dkappa, const float *dw, long dw_stride,
                     const float *dw_out, const float *p, const float *kappa, const long long *index,
                     const float *mask) {
    for (long r = 0; r < rows; r++) {
        const float *a = p + r * 3 * m, *b = a + m, *s = b + m, *at = kappa + r * m;
        float *da = dp + r * 3 * m, *db = da + m, *ds = db + m, *dk = dkappa + r * m, sums[3], dphi[chars + LANES];
        int finite = window_derivatives(chars, dw + r * dw_stride, dw_out + r * symbols, index + r * chars, mask + r * chars, dphi);
        for (long k = 0; k < m; k++) {
            Span span = finite ? span_of(a[k], b[k], at[k], chars) : (Span){0, chars};
            add_products(span, a[k], b[k], at[k], dphi, sums);
            da[k] = sums[0];
            db[k] = -b[k] * sums[2];
            dk[k] += -2.0f * b[k] * sums[1];
            ds[k] = dk[k] * s[k];
        }
    }
}
