/* Draws symbols with a network of peephole LSTM layers and a softmax over them, many steps a call: section 3 of Graves (2013). The
   notebook 50_sampling holds the same loop in torch operations, which the tests compare with this. Every text's symbols are the same
   whatever texts are drawn beside it. Built with step.c. */

#include <stdlib.h>
#include <string.h>

#include "exponential.h"
#include "product.h"

void cell_forward(long rows, long n, float *gates, const float *c_prev, float *c, float *h, long h_stride,
                  const float *peephole, float scale);

typedef struct {
    long layers, cells, symbols, kind; /* kind: see product.h */
    const void **weights;              /* of each layer: h below, own h; then of the output */
    const float **tables;              /* what a symbol adds to the gates of a layer, its bias included, (symbols, 4 cells) */
    const float **peepholes;           /* (3, cells) of each layer */
    const float *bias;                 /* of the output */
} TextNetwork;

typedef struct {
    float scale, top_p; /* 1 / temperature; of the likeliest symbols, no more than share this much of the probability */
    long top_k;         /* and no more than so many */
} Choice;

typedef struct {
    float weight;
    long symbol;
} Ranked;

static int likelier_first(const void *a, const void *b) { /* the earlier symbol first where both are as likely */
    const Ranked *x = a, *y = b;
    if (x->weight != y->weight) return x->weight < y->weight ? 1 : -1;
    return x->symbol < y->symbol ? -1 : 1;
}

/* zero for all but the likeliest symbols, of which there is always one */
static void keep_likely(long count, Choice choice, float *weight, float total, Ranked *ranked) {
    float before = 0.0f;
    for (long i = 0; i < count; i++) ranked[i] = (Ranked){weight[i], i};
    qsort(ranked, count, sizeof *ranked, likelier_first);
    for (long i = 0; i < count; i++) {
        if (i && (i >= choice.top_k || before / total >= choice.top_p)) weight[ranked[i].symbol] = 0.0f;
        before += ranked[i].weight;
    }
}

/* The symbol into whose share of the line from 0 to 1 a uniform number falls: never one of weight 0. */
static long draw_symbol(long count, Choice choice, const float *y, float number, float *weight, Ranked *ranked) {
    float top = y[0], total = 0.0f;
    double end = 0.0;
    for (long i = 1; i < count; i++) top = y[i] > top ? y[i] : top;
    for (long i = 0; i < count; i++) weight[i] = exp_((y[i] - top) * choice.scale);
    if (choice.top_k < count || choice.top_p < 1.0f) {
        for (long i = 0; i < count; i++) total += weight[i];
        keep_likely(count, choice, weight, total, ranked);
    }
    for (long i = 0; i < count; i++) weight[i] = (float)(end += weight[i]);
    for (long i = 0; i < count; i++)
        if (weight[i] > number * weight[count - 1]) return i;
    return 0; /* where weights are no numbers */
}

/* a symbol of each row moves the state h, c (rows, layers, cells) on, and gives outputs y (rows, symbols) */
static void next_outputs(const TextNetwork *net, long rows, const long long *symbols, long step, float *h, float *c, float *y,
                         float *gates) {
    const long n = net->cells, layers = net->layers, count = net->symbols;
    float *before = gates + rows * 4 * n;
    for (long l = 0; l < layers; l++) {
        for (long r = 0; r < rows; r++)
            memcpy(gates + r * 4 * n, net->tables[l] + symbols[r * step] * 4 * n, 4 * n * sizeof(float));
        add_product(net->kind, rows, 4 * n, (l ? 2 : 1) * n, net->weights[l], h + (l ? l - 1 : 0) * n, layers * n, gates, 4 * n, NULL);
        for (long r = 0; r < rows; r++) {
            float *cell = c + (r * layers + l) * n;
            memcpy(before, cell, n * sizeof(float));
            cell_forward(1, n, gates + r * 4 * n, before, cell, h + (r * layers + l) * n, n, net->peepholes[l], 1.0f);
        }
    }
    for (long r = 0; r < rows; r++) memcpy(y + r * count, net->bias, count * sizeof(float));
    add_product(net->kind, rows, count, layers * n, net->weights[layers], h, layers * n, y, count, NULL);
}

/* y (rows, symbols): outputs that the first symbols are drawn from, carried on with h and c; draws (rows, steps): uniform numbers
   from 0 to below 1; symbols (rows, steps): what was drawn. 0 if there was no memory, else 1. */
long draw_text(const TextNetwork *net, long rows, long steps, float scale, long top_k, float top_p, float *y, float *h, float *c,
               const float *draws, long long *symbols) {
    const long count = net->symbols;
    float *gates = malloc(sizeof(float) * ((4 * rows + 1) * net->cells + count));
    Ranked *ranked = malloc(sizeof(Ranked) * count);
    long done = gates && ranked;
    Choice choice = {scale, top_p, top_k};
    for (long t = 0; done && t < steps; t++) {
        for (long r = 0; r < rows; r++)
            symbols[r * steps + t] = draw_symbol(count, choice, y + r * count, draws[r * steps + t],
                                                 gates + (4 * rows + 1) * net->cells, ranked);
        next_outputs(net, rows, symbols + t, steps, h, c, y, gates);
    }
    free(gates);
    free(ranked);
    return done;
}
