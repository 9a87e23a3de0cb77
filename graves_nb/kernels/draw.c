/* Draws points with a network of peephole LSTM layers, a window over the text and a mixture output, many steps a call.
   The equations are those of Graves (2013); the notebook 35_drawing holds the same loop in torch operations, which the
   tests compare with this. Every line's numbers are the same whatever lines are drawn beside it. Built with step.c. */

#include <stdlib.h>
#include <string.h>

#include "exponential.h"
#include "product.h"
#include "window.h"

void cell_forward(long rows, long n, float *gates, const float *c_prev, float *c, float *h, long h_stride,
                  const float *peephole, float scale);

/* p (3 k): ahat, bhat, khat, replaced by alpha, beta, kappa, (46)-(51); w receives what the window sees; phi is scratch for
   length + 1 numbers; whether the character after the last has more weight than every other (sec. 5.3) */
static int move_window(long k, long length, long symbols, float *p, float *kappa, const long long *index, float *w, float *phi) {
    float *at = p + 2 * k;
    for (long j = 0; j < 3 * k; j++) p[j] = exp_(p[j]);
    for (long j = 0; j < k; j++) at[j] = kappa[j] += at[j];
    Span seen = window_weights(k, length + 1, p, p + k, at, phi);
    float after = seen.end > length ? phi[length] : 0.0f;
    int passed = after > 0.0f;
    memset(w, 0, symbols * sizeof(float));
    for (long u = seen.first; u < seen.end && u < length; u++) {
        w[index[u]] += phi[u];
        passed &= after > phi[u];
    }
    return passed;
}

/* A point by outputs y (1 + 6 m) and four random numbers: a component by the first uniform, a point of it by the two normals,
   the end of the stroke by the second uniform, (18)-(23), sharpened by the bias, (61), (62). */
static void draw_point(long m, const float *y, float bias, const float *draw, float *weight, float *point) {
    const float *pi = y + 1, *means = pi + m, *stds = means + 2 * m, *rho = stds + 2 * m;
    float top = pi[0], total = 0.0f, sum = 0.0f;
    long j = 0;
    for (long i = 1; i < m; i++) top = pi[i] > top ? pi[i] : top;
    for (long i = 0; i < m; i++) total += weight[i] = exp_((pi[i] - top) * (1.0f + bias));
    for (long i = 0; i < m; i++) {
        sum += weight[i];
        j += sum / total <= draw[0]; /* never one of weight 0 */
    }
    if (j >= m) j = m - 1;
    float r = tanh_(rho[j]), away = exp_(-fabsf(rho[j])), across = 2.0f * away / (1.0f + away * away);
    float z1 = draw[2], z2 = r * z1 + across * draw[3];
    float nothing = 0.0f * (total + sigmoid(y[0])); /* NaN where there is no distribution to take a point of */
    point[0] = means[j] + exp_(stds[j] - bias) * z1 + nothing;
    point[1] = means[m + j] + exp_(stds[m + j] - bias) * z2 + nothing;
    point[2] = (draw[1] * (1.0f + exp_(y[0])) < 1.0f) + nothing;
}

typedef struct {
    long layers, cells, symbols, gaussians, mixtures, kind; /* symbols and gaussians are 0 without a window; kind: see product.h */
    const void **weights;                                     /* of each layer: inputs x, w, h below, own h; then of the output */
    const float **biases;                                     /* the same */
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
    const long widest = 3 + s + 2 * n;
    float *memory = malloc(sizeof(float) * (rows * (widest + 4 * n) + n + longest + 1 + m));
    if (!memory) return 0;
    float *in = memory, *gates = in + rows * widest, *before = gates + rows * 4 * n;
    float *phi = before + n, *weight = phi + longest + 1;
    for (long t = 0; t < steps; t++) {
        for (long l = 0; l < layers; l++) {
            const long inputs = 3 + s + (l ? 2 : 1) * n;
            for (long r = 0; r < rows; r++) {
                float *to = in + r * inputs;
                memcpy(to, x + r * 3, 3 * sizeof(float));
                memcpy(to + 3, w + r * s, s * sizeof(float));
                memcpy(to + 3 + s, h + (r * layers + (l ? l - 1 : 0)) * n, (l ? 2 : 1) * n * sizeof(float));
                memcpy(gates + r * 4 * n, net->biases[l], 4 * n * sizeof(float));
            }
            add_product(net->kind, rows, 4 * n, inputs, net->weights[l], in, inputs, gates, 4 * n, NULL);
            for (long r = 0; r < rows; r++) {
                float *cell = c + (r * layers + l) * n;
                memcpy(before, cell, n * sizeof(float));
                cell_forward(1, n, gates + r * 4 * n, before, cell, h + (r * layers + l) * n, n, net->peepholes[l], 1.0f);
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
        float *y = outputs + t * out;
        for (long r = 0; r < rows; r++) memcpy(y + r * steps * out, net->biases[layers], out * sizeof(float));
        add_product(net->kind, rows, out, layers * n, net->weights[layers], h, layers * n, y, steps * out, NULL);
        for (long r = 0; r < rows; r++) {
            draw_point(m, y + r * steps * out, bias, draws + (r * steps + t) * 4, weight, x + r * 3);
            memcpy(points + (r * steps + t) * 3, x + r * 3, 3 * sizeof(float));
        }
    }
    free(memory);
    return 1;
}
