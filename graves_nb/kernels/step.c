/* One time step of a peephole LSTM and of the soft window, forwards and backwards, for float32 rows.
   The equations are those of Graves (2013); the notebooks 10_lstm and 15_synthesis hold the same steps
   in torch operations, which the tests compare with these. Build: cc -O3 -march=native -ffast-math -shared. */

#include <math.h>
#include <stddef.h>

static inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
static inline float tanh_(float x) { return 1.0f - 2.0f / (expf(2.0f * x) + 1.0f); }
static inline float clamp(float x, float limit) { return fminf(fmaxf(x, -limit), limit); }

/* gates (rows, 4n): pre-activations i, f, g, o without peepholes, replaced by activations, (7)-(11) */
void cell_forward(long rows, long n, float *gates, const float *c_prev, float *c, float *h, long h_stride,
                  const float *peephole) {
    for (long r = 0; r < rows; r++) {
        float *restrict i = gates + r * 4 * n, *restrict f = i + n, *restrict g = f + n, *restrict o = g + n;
        const float *restrict cp = c_prev + r * n;
        float *restrict cn = c + r * n, *restrict out = h + r * h_stride;
        for (long k = 0; k < n; k++) {
            float iv = sigmoid(i[k] + peephole[k] * cp[k]);
            float fv = sigmoid(f[k] + peephole[n + k] * cp[k]);
            float gv = tanh_(g[k]);
            float cv = fv * cp[k] + iv * gv;
            float ov = sigmoid(o[k] + peephole[2 * n + k] * cv);
            i[k] = iv; f[k] = fv; g[k] = gv; o[k] = ov; cn[k] = cv;
            out[k] = ov * tanh_(cv);
        }
    }
}

/* gates: activations, replaced by clipped derivatives by the pre-activations; dc: derivative by the cell,
   carried from the step after to the step before; dh and dh_out: the two parts of the derivative by h;
   dpeephole (3, n): is added to */
void cell_backward(long rows, long n, float *gates, const float *c_prev, const float *c, const float *dh,
                   long dh_stride, const float *dh_out, float *dc, const float *peephole, float *restrict dpeephole,
                   float clip) {
    for (long r = 0; r < rows; r++) {
        float *restrict i = gates + r * 4 * n, *restrict f = i + n, *restrict g = f + n, *restrict o = g + n;
        const float *restrict cp = c_prev + r * n, *restrict cn = c + r * n;
        const float *restrict d1 = dh + r * dh_stride, *restrict d2 = dh_out + r * n;
        float *restrict dcell = dc + r * n;
        for (long k = 0; k < n; k++) {
            float d = d1[k] + d2[k], tc = tanh_(cn[k]);
            float dov = clamp(d * tc * o[k] * (1.0f - o[k]), clip);
            float dcv = dcell[k] + d * o[k] * (1.0f - tc * tc) + dov * peephole[2 * n + k];
            float div = clamp(dcv * g[k] * i[k] * (1.0f - i[k]), clip);
            float dfv = clamp(dcv * cp[k] * f[k] * (1.0f - f[k]), clip);
            float dgv = clamp(dcv * i[k] * (1.0f - g[k] * g[k]), clip);
            dpeephole[k] += div * cp[k];
            dpeephole[n + k] += dfv * cp[k];
            dpeephole[2 * n + k] += dov * cn[k];
            dcell[k] = dcv * f[k] + div * peephole[k] + dfv * peephole[n + k];
            i[k] = div; f[k] = dfv; g[k] = dgv; o[k] = dov;
        }
    }
}

/* p (rows, 3m): ahat, bhat, khat, replaced by their exponentials; w (rows, w_stride) must hold zeros, (46)-(51) */
void window_forward(long rows, long m, long chars, float *p, const float *kappa_prev, float *kappa,
                    const long long *index, const float *mask, float *w, long w_stride) {
    for (long r = 0; r < rows; r++) {
        float *a = p + r * 3 * m, *b = a + m, *s = b + m, phi[chars];
        for (long u = 0; u < chars; u++) phi[u] = 0.0f;
        for (long k = 0; k < 3 * m; k++) a[k] = expf(a[k]);
        for (long k = 0; k < m; k++) {
            float at = kappa_prev[r * m + k] + s[k], ak = a[k], bk = b[k];
            kappa[r * m + k] = at;
            for (long u = 0; u < chars; u++) {
                float gap = at - (float)(u + 1);
                phi[u] += ak * expf(-bk * gap * gap);
            }
        }
        for (long u = 0; u < chars; u++) w[r * w_stride + index[r * chars + u]] += phi[u] * mask[r * chars + u];
    }
}

/* dp (rows, 3m): receives the derivatives by ahat, bhat, khat; dkappa is carried backwards in time; dw and dw_out:
   the two parts of the derivative by w, (56)-(60) */
void window_backward(long rows, long m, long chars, long symbols, float *dp, float *dkappa, const float *dw, long dw_stride,
                     const float *dw_out, const float *p, const float *kappa, const long long *index,
                     const float *mask) {
    for (long r = 0; r < rows; r++) {
        const float *a = p + r * 3 * m, *b = a + m, *s = b + m;
        float *da = dp + r * 3 * m, *db = da + m, *ds = db + m, dphi[chars];
        for (long u = 0; u < chars; u++) {
            long j = index[r * chars + u];
            dphi[u] = (dw[r * dw_stride + j] + dw_out[r * symbols + j]) * mask[r * chars + u];
        }
        for (long k = 0; k < m; k++) {
            float at = kappa[r * m + k], bk = b[k], e0 = 0.0f, e1 = 0.0f, e2 = 0.0f;
            for (long u = 0; u < chars; u++) {
                float gap = at - (float)(u + 1), e = dphi[u] * expf(-bk * gap * gap);
                e0 += e; e1 += e * gap; e2 += e * gap * gap;
            }
            da[k] = a[k] * e0;
            db[k] = -a[k] * bk * e2;
            dkappa[r * m + k] -= 2.0f * a[k] * bk * e1;
            ds[k] = dkappa[r * m + k] * s[k];
        }
    }
}
