/* Draws points with a network of peephole LSTM layers, a window over the text and a mixture output, many steps a call.
   The equations are those of Graves (2013); the notebook 17_drawing holds the same loop in torch operations, which the
   tests compare with this. Every line's numbers are the same whatever lines are drawn beside it. Built with step.c. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

void cell_forward(long rows, long n, float *gates, const float *c_prev, float *c, float *h, long h_stride,
                  const float *peephole);

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

long panel_width(void) { return P; }

/* weights (outputs, inputs) into panels (outputs rounded up, inputs), of halves if narrow, else of floats */
void pack(long outputs, long inputs, long narrow, const float *weights, void *panels) {
    for (long o = 0; o < (outputs + P - 1) / P * P; o++)
        for (long i = 0; i < inputs; i++) {
            long place = o / P * P * inputs + i * P + o % P;
            float w = o < outputs ? weights[o * inputs + i] : 0.0f;
            if (narrow) ((half *)panels)[place] = to_half(w);
            else ((float *)panels)[place] = w;
        }
}

/* R rows times J panels: y (R, y_stride) += x (R, x_stride) times the panels' weights, summed in order of the inputs */
static inline __attribute__((always_inline)) void tile(const int R, const int J, const int narrow, long inputs, const char *panels,
                                                       const float *x, long x_stride, float *y, long y_stride) {
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
            float xi = x[r * x_stride + i];
#pragma GCC unroll 8
            for (int j = 0; j < 2 * J; j++) sum[r][j] += w[j] * xi;
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int j = 0; j < 2 * J; j++) *(vec *)(y + r * y_stride + j * W) = sum[r][j];
}

/* y (rows, y_stride) += x (rows, x_stride) times all panels; the rows of one panel follow each other, so it stays near */
static inline __attribute__((always_inline)) void product_of(const int narrow, long rows, long panels, long inputs, const char *weights,
                                                             const float *x, long x_stride, float *y, long y_stride) {
    const long panel = P * inputs * (narrow ? sizeof(half) : sizeof(float));
    long j = 0;
#define TILE(R, J) tile(R, J, narrow, inputs, weights + j * panel, x + r * x_stride, x_stride, y + r * y_stride + j * P, y_stride)
    for (; rows <= 3 && j + 4 <= panels; j += 4) {
        long r = 0;
        if (rows == 1) TILE(1, 4);
        else if (rows == 2) { TILE(2, 2); j += 2; TILE(2, 2); j -= 2; }
        else { TILE(3, 2); j += 2; TILE(3, 2); j -= 2; }
    }
    for (; j < panels; j++) {
        long r = 0;
        for (; r + 6 <= rows; r += 6) TILE(6, 1);
        switch (rows - r) {
            case 5: TILE(5, 1); break;
            case 4: TILE(4, 1); break;
            case 3: TILE(3, 1); break;
            case 2: TILE(2, 1); break;
            case 1: TILE(1, 1); break;
        }
    }
#undef TILE
}

static void add_product(long narrow, long rows, long panels, long inputs, const char *weights, const float *x, long x_stride,
                        float *y, long y_stride) {
    if (narrow) product_of(1, rows, panels, inputs, weights, x, x_stride, y, y_stride);
    else product_of(0, rows, panels, inputs, weights, x, x_stride, y, y_stride);
}

/* p (3 k): ahat, bhat, khat, replaced by alpha, beta, kappa, (46)-(51); w receives what the window sees; phi is scratch for
   length + 1 numbers; whether the character after the last has more weight than every other (sec. 5.3) */
static int move_window(long k, long length, long symbols, float *p, float *kappa, const long long *index, float *w, float *phi) {
    float *alpha = p, *beta = p + k, *at = p + 2 * k, most = 0.0f;
    for (long u = 0; u <= length; u++) phi[u] = 0.0f;
    for (long j = 0; j < 3 * k; j++) p[j] = expf(p[j]);
    for (long j = 0; j < k; j++) {
        float a = alpha[j], b = beta[j], place = kappa[j] += at[j];
        at[j] = place;
        for (long u = 0; u <= length; u++) {
            float gap = place - (float)(u + 1);
            phi[u] += a * expf(-b * gap * gap);
        }
    }
    memset(w, 0, symbols * sizeof(float));
    for (long u = 0; u < length; u++) {
        w[index[u]] += phi[u];
        most = fmaxf(most, phi[u]);
    }
    return phi[length] > most;
}

/* A point by outputs y (1 + 6 m) and four random numbers: a component by the first uniform, a point of it by the two normals,
   the end of the stroke by the second uniform, (18)-(23), sharpened by the bias, (61), (62). */
static void draw_point(long m, const float *y, float bias, const float *draw, float *weight, float *point) {
    const float *pi = y + 1, *means = pi + m, *stds = means + 2 * m, *rho = stds + 2 * m;
    float top = pi[0], total = 0.0f, sum = 0.0f;
    long j = 0;
    for (long i = 1; i < m; i++) top = fmaxf(top, pi[i]);
    for (long i = 0; i < m; i++) total += weight[i] = expf((pi[i] - top) * (1.0f + bias));
    for (long i = 0; i < m; i++) {
        sum += weight[i];
        j += sum / total < draw[0];
    }
    if (j >= m) j = m - 1;
    float r = tanhf(rho[j]), away = expf(-fabsf(rho[j])), across = 2.0f * away / (1.0f + away * away);
    float z1 = draw[2], z2 = r * z1 + across * draw[3];
    point[0] = means[j] + expf(stds[j] - bias) * z1;
    point[1] = means[m + j] + expf(stds[m + j] - bias) * z2;
    point[2] = draw[1] * (1.0f + expf(y[0])) < 1.0f;
}

typedef struct {
    long layers, cells, symbols, gaussians, mixtures, narrow; /* symbols and gaussians are 0 without a window */
    const void **weights;                                     /* of each layer: inputs x, w, h below, own h; then of the output */
    const float **biases;                                     /* the same, padded to whole panels */
    const float **peepholes;                                  /* (3, cells) of each layer */
    const float *window_weights, *window_bias;                /* (cells, 3 gaussians), (3 gaussians) */
} Network;

/* x (rows, 3), h and c (rows, layers, cells), kappa (rows, gaussians), w (rows, symbols): the state, carried on; index
   (rows, longest), lengths (rows): the texts; draws (rows, steps, 4); points (rows, steps, 3), outputs (rows, steps, 1 + 6 m),
   window (rows, steps, 3 gaussians), finished (rows, steps): what was drawn. 0 if there was no memory, else 1. */
long draw(const Network *net, long rows, long steps, long longest, float bias, float *x, float *h, float *c, float *kappa, float *w,
          const long long *index, const long long *lengths, const float *draws, float *points, float *outputs, float *window,
          unsigned char *finished) {
    const long n = net->cells, layers = net->layers, s = net->symbols, k = net->gaussians, m = net->mixtures, out = 1 + 6 * m;
    const long gate_panels = (4 * n + P - 1) / P, out_panels = (out + P - 1) / P, widest = 3 + s + 2 * n;
    const long gate_stride = gate_panels * P, out_stride = out_panels * P;
    float *memory = malloc(sizeof(float) * (rows * (widest + gate_stride + out_stride) + n + longest + 1 + m));
    if (!memory) return 0;
    float *in = memory, *gates = in + rows * widest, *y = gates + rows * gate_stride, *before = y + rows * out_stride;
    float *phi = before + n, *weight = phi + longest + 1;
    for (long t = 0; t < steps; t++) {
        for (long l = 0; l < layers; l++) {
            const long inputs = 3 + s + (l ? 2 : 1) * n;
            for (long r = 0; r < rows; r++) {
                float *to = in + r * inputs;
                memcpy(to, x + r * 3, 3 * sizeof(float));
                memcpy(to + 3, w + r * s, s * sizeof(float));
                memcpy(to + 3 + s, h + (r * layers + (l ? l - 1 : 0)) * n, (l ? 2 : 1) * n * sizeof(float));
                memcpy(gates + r * gate_stride, net->biases[l], gate_stride * sizeof(float));
            }
            add_product(net->narrow, rows, gate_panels, inputs, net->weights[l], in, inputs, gates, gate_stride);
            for (long r = 0; r < rows; r++) {
                float *cell = c + (r * layers + l) * n;
                memcpy(before, cell, n * sizeof(float));
                cell_forward(1, n, gates + r * gate_stride, before, cell, h + (r * layers + l) * n, n, net->peepholes[l]);
            }
            for (long r = 0; l == 0 && k && r < rows; r++) {
                float *p = window + (r * steps + t) * 3 * k;
                const float *first = h + r * layers * n;
                memcpy(p, net->window_bias, 3 * k * sizeof(float));
                for (long i = 0; i < n; i++)
                    for (long j = 0; j < 3 * k; j++) p[j] += first[i] * net->window_weights[i * 3 * k + j];
                finished[r * steps + t] =
                    move_window(k, lengths[r], s, p, kappa + r * k, index + r * longest, w + r * s, phi);
            }
        }
        for (long r = 0; r < rows; r++) memcpy(y + r * out_stride, net->biases[layers], out_stride * sizeof(float));
        add_product(net->narrow, rows, out_panels, layers * n, net->weights[layers], h, layers * n, y, out_stride);
        for (long r = 0; r < rows; r++) {
            memcpy(outputs + (r * steps + t) * out, y + r * out_stride, out * sizeof(float));
            draw_point(m, y + r * out_stride, bias, draws + (r * steps + t) * 4, weight, x + r * 3);
            memcpy(points + (r * steps + t) * 3, x + r * 3, 3 * sizeof(float));
        }
    }
    free(memory);
    return 1;
}
