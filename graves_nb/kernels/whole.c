/* What comes next in a text, in whole numbers alone, so that every machine, compiler and number of threads comes to the same: the notebook
   37_whole says what they stand for and holds the same steps in torch operations. Q16 is a number times 2^16. No sum here overflows;
   right shifts of negative numbers round down, as every compiler has them. Built with step.c. */

#include <stdlib.h>
#include <string.h>

#include "product.h"

enum { REACH = 11 << 16, MOST_CELL = (1 << 26) - 1 };

typedef struct {
    long layers, cells, symbols, shift; /* cells are even; sums are shifted by `shift` to be Q16 */
    const void **weights;               /* of each layer: h below, own h; then of the output; packed as PAIRS of short */
    const int **tables;                 /* what a symbol, or none, adds to the gates of a layer, (symbols + 1, 4 cells) */
    const int **peepholes;              /* Q11, (3, cells) of each layer */
    const int *bias, *curve, *powers;   /* of the output; the logistic function; powers of 2 */
} WholeNetwork;

/* Q15 of the logistic function of a Q16, a line between two entries of its curve */
static inline int sigmoid(const int *curve, int a) {
    a = a < -REACH ? -REACH : a > REACH - 1 ? REACH - 1 : a;
    int place = a + REACH, entry = curve[place >> 11];
    return (((entry & 0xffff) << 11) + (entry >> 16) * (place & 2047) + 2048) >> 12;
}

/* x times a Q16, by parts, so that 32 bits do; x is below 2^15, what comes out is Q5 more than x */
static inline int times(int x, int c) { return x * (c >> 11) + (x * (c & 2047) >> 11); }

static void move_cell(const WholeNetwork *net, const int *restrict gates, const int *restrict peephole, int *restrict c, short *restrict h) {
    const long n = net->cells, shift = net->shift;
    const int half = 1 << (shift - 1), *restrict curve = net->curve;
    for (long k = 0; k < n; k++) {
#define GATE(J) ((gates[(J) * n + k] + half) >> shift)
        int i = sigmoid(curve, GATE(0) + times(peephole[k], c[k])), f = sigmoid(curve, GATE(1) + times(peephole[n + k], c[k]));
        int g = 2 * sigmoid(curve, 2 * GATE(2)) - 32768;
        int cell = ((times(f, c[k]) + 8) >> 4) + ((i * g + (1 << 13)) >> 14);
        c[k] = cell = cell < -MOST_CELL ? -MOST_CELL : cell > MOST_CELL ? MOST_CELL : cell;
        int o = sigmoid(curve, GATE(3) + times(peephole[2 * n + k], cell)), t = 2 * sigmoid(curve, 2 * cell) - 32768;
        h[k] = (o * t + (1 << 18)) >> 19;
#undef GATE
    }
}

/* Q24 of 2^(y - top) */
static void weigh(const WholeNetwork *net, const int *y, int *weight) {
    const int half = 1 << (net->shift - 1), *powers = net->powers;
    int top = y[0];
    for (long i = 1; i < net->symbols; i++) top = y[i] > top ? y[i] : top;
    top = (top + half) >> net->shift;
    for (long i = 0; i < net->symbols; i++) {
        int down = top - ((y[i] + half) >> net->shift), whole = down >> 16, part = down & 0xffff, at = part >> 10;
        int power = powers[at] + ((powers[at + 1] - powers[at]) * (part & 1023) >> 10);
        weight[i] = whole > 30 ? 0 : power >> whole;
    }
}

/* a symbol of each row moves h, c (rows, layers, cells) on, and gives the weights of what may come next, (rows, symbols). 0 if there was no
   memory, else 1. */
long predict_whole(const WholeNetwork *net, long rows, const long long *symbols, short *h, int *c, int *weight) {
    const long n = net->cells, layers = net->layers, count = net->symbols;
    int *gates = malloc(sizeof(int) * rows * 4 * n);
    if (!gates) return 0;
    for (long l = 0; l < layers; l++) {
        for (long r = 0; r < rows; r++) memcpy(gates + r * 4 * n, net->tables[l] + symbols[r] * 4 * n, 4 * n * sizeof(int));
        add_whole(rows, 4 * n, (l ? 2 : 1) * n, net->weights[l], h + (l ? l - 1 : 0) * n, layers * n, gates, 4 * n);
        for (long r = 0; r < rows; r++)
            move_cell(net, gates + r * 4 * n, net->peepholes[l], c + (r * layers + l) * n, h + (r * layers + l) * n);
    }
    for (long r = 0; r < rows; r++) memcpy(weight + r * count, net->bias, count * sizeof(int));
    add_whole(rows, count, layers * n, net->weights[layers], h, layers * n, weight, count);
    for (long r = 0; r < rows; r++) weigh(net, weight + r * count, weight + r * count);
    free(gates);
    return 1;
}

/* rows of short numbers, (outputs, inputs), inputs even, into panels of pairs */
void pack_whole(long outputs, long inputs, const short *weights, void *panels) {
    const long size = inputs / 2;
    for (long j = 0; j < panels_of(outputs); j++)
        for (long i = 0; i < size; i++)
            for (long k = 0; k < P; k++) {
                short pair[2] = {0, 0};
                if (j * P + k < outputs) memcpy(pair, weights + (j * P + k) * inputs + 2 * i, sizeof pair);
                memcpy((char *)panels + ((j * size + i) * P + k) * sizeof pair, pair, sizeof pair);
            }
}
