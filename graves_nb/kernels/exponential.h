/* e^x and tanh(x) in operations that compilers turn into vector instructions where they stand; a call of a library's costs several times
   as much. Right to a few units in the last place. NaN gives NaN, and the infinities give the limits: comparisons are written such that
   NaN passes, and nothing here may be built with -ffast-math, which would leave NaN out of account and rearrange the sums. */

#ifndef GRAVES_EXPONENTIAL_H
#define GRAVES_EXPONENTIAL_H
#include <math.h>
#include <string.h>

#define LOG2_E 1.442695041f
#define LN2_HIGH 0.693359375f /* ln(2) in two parts: a small whole number times the first is exact */
#define LN2_LOW -2.12194440e-4f

/* Added to a number below 2^22, this leaves the nearest whole number in the last bits of the sum, and shifting them by 23 makes 2^whole
   of them if the exponent's bias, 127, is there too. */
#define WHOLE 12582912.0f

static inline float power_of_2(float shifted) {
    unsigned int bits;
    float power;
    memcpy(&bits, &shifted, sizeof bits);
    bits <<= 23;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* (e^rest - 1 - rest) / rest^2 for |rest| up to ln(2) / 2 */
static inline float tail(float rest) {
    return 0.499999885f + rest * (0.166665179f + rest * (0.0416695443f + rest * (0.00836898723f + rest * 0.00137511503f)));
}

/* e^x = 2^whole e^rest. The power is halved and the series doubled, so infinity is where it should be; 0 where e^x is below 2^-125.5,
   which is everywhere below -87: denormal numbers are slow, and not needed. */
static inline float exp_(float x) {
    float bounded = x > 89.0f ? 89.0f : x;
    bounded = bounded < -87.0f ? -87.0f : bounded;
    float shifted = bounded * LOG2_E + (WHOLE + 126.0f), whole = shifted - (WHOLE + 126.0f);
    float rest = bounded - whole * LN2_HIGH - whole * LN2_LOW;
    float series = (2.0f + 2.0f * rest) + rest * rest * (2.0f * tail(rest));
    return series * power_of_2(shifted);
}

/* tanh(x) = E / (E + 2) with E = e^(2|x|) - 1 = 2^whole (e^rest - 1) + (2^whole - 1), in which nothing cancels near 0 */
static inline float tanh_(float x) {
    float twice = 2.0f * fabsf(x);
    twice = twice > 20.0f ? 20.0f : twice;
    float shifted = twice * LOG2_E + (WHOLE + 127.0f), whole = shifted - (WHOLE + 127.0f), power = power_of_2(shifted);
    float rest = twice - whole * LN2_HIGH - whole * LN2_LOW;
    float e = (rest + rest * rest * tail(rest)) * power + (power - 1.0f);
    return copysignf(e / (e + 2.0f), x);
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exp_(-x)); }

#endif
