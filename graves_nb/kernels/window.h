/* The weights phi(t, u) of a soft window over a text, (46), one of its Gaussians after the other. A Gaussian's terms
   alpha exp(-beta (kappa - u)^2) are exactly 0 a little way from kappa, so only characters within reach are gone through, and the cost of
   a step does not grow with the text. The sums have the bits that they would have with all characters. */

#ifndef GRAVES_WINDOW_H
#define GRAVES_WINDOW_H
#include <math.h>

#include "exponential.h"

enum { LANES = 8 }; /* characters that are gone through at once; spans begin and end at multiples of it, or at the end of the text */

typedef struct {
    long first, end;
} Span;

static inline long within(double place, long chars) { return place > 0 ? (place < (double)chars ? (long)place : chars) : 0; }

/* The characters (from 0) that a Gaussian reaches: outside, exp_ gets less than -87. All of them where its height is not finite, its place
   not a number, or its width without bounds: 0 times infinity is NaN, and NaN should come through. */
static inline Span span_of(float alpha, float beta, float kappa, long chars) {
    Span span = {0, chars};
    if (!(beta > 1e-12f && fabsf(alpha) < INFINITY && fabsf(kappa) < INFINITY)) return span;
    double reach = sqrt(88.0 / beta) + 1.0;
    span.first = within(kappa - reach, chars) / LANES * LANES;
    span.end = within((kappa + reach) / LANES + 1.0, chars / LANES + 1) * LANES;
    if (span.end > chars) span.end = chars;
    return span;
}

static inline Span both(Span a, Span b) { /* the shortest span that holds both */
    if (a.first == a.end || b.first == b.end) return a.first == a.end ? b : a;
    return (Span){a.first < b.first ? a.first : b.first, a.end > b.end ? a.end : b.end};
}

static inline float gap_of(float kappa, long u) { return kappa - (float)((int)u + 1); }

/* add a Gaussian's terms to phi */
static __attribute__((noinline)) void add_terms(Span span, float alpha, float beta, float kappa, float *phi) {
    for (long u = span.first; u < span.end; u++) {
        float gap = gap_of(kappa, u);
        phi[u] += alpha * exp_(-(gap * gap * beta));
    }
}

/* phi, at the span that is returned; elsewhere it is 0, and left as it is */
static inline Span window_weights(long k, long chars, const float *alpha, const float *beta, const float *kappa, float *phi) {
    Span spans[k + 1], all = {0, 0};
    for (long j = 0; j < k; j++) all = both(all, spans[j] = span_of(alpha[j], beta[j], kappa[j], chars));
    for (long u = all.first; u < all.end; u++) phi[u] = 0.0f;
    for (long j = 0; j < k; j++) add_terms(spans[j], alpha[j], beta[j], kappa[j], phi);
    return all;
}

#endif
