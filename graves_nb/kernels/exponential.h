/* e^x in operations that compilers turn into vector instructions where they stand; a call of a library's costs several times as
   much. 0 below -87, no more than e^88; elsewhere right to a few units in the last place. */

#ifndef GRAVES_EXPONENTIAL_H
#define GRAVES_EXPONENTIAL_H
#include <math.h>
#include <string.h>

#ifdef __FP_FAST_FMAF /* a sum that -ffast-math does not rearrange */
#define MULTIPLY_ADD(a, b, c) fmaf(a, b, c)
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

static inline float exp_(float x) {
    float bounded = fminf(fmaxf(x, -87.0f), 88.0f), power;
    float whole = rintf(bounded * 1.442695041f); /* e^x = 2^whole e^rest, |rest| at most ln(2) / 2, in two parts for precision */
    float rest = MULTIPLY_ADD(whole, 2.12194440e-4f, MULTIPLY_ADD(whole, -0.693359375f, bounded));
    float series = 1.0f + rest + rest * rest * (0.499999885f + rest * (0.166665179f + rest * (0.0416695443f
                   + rest * (0.00836898723f + rest * 0.00137511503f))));
    int bits = ((int)whole + 127) << 23;
    memcpy(&power, &bits, sizeof power);
    return x < -87.0f ? 0.0f : series * power;
}

#endif
