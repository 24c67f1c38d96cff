#include "pipeline/base/fixed_math.h"

/* ln 2 in two parts; the first has 32 bits, so that its product with an exponent is exact. */
static const double LN2_HIGH = 6.93147180369123816490e-01;
static const double LN2_LOW = 1.90821492927058770002e-10;

/* Adding and taking it off again rounds to the nearest integer, ties to even. */
static const double SHIFTER = 0x1.8p52;

static double double_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint64_t bits_of_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* 2^n for n in [-1022, 1023] */
static double power_of_two(int64_t n)
{
    return double_of_bits((uint64_t)(n + 1023) << 52);
}

double fixed_exp(double x)
{
    if (x != x) {
        return x;
    }
    if (x > 7.09782712893383973096e+02) {
        return INFINITY;
    }
    if (x < -7.08396418532264106224e+02) {
        return 0.0;
    }
    double n = (x * 1.44269504088896338700e+00 + SHIFTER) - SHIFTER;
    double high = x - n * LN2_HIGH;
    double low = n * LN2_LOW;
    double r = high - low;

    double t = r * r;
    double p = 4.13813679705723846039e-08;
    p = p * t - 1.65339022054652515390e-06;
    p = p * t + 6.61375632143793436117e-05;
    p = p * t - 2.77777777770155933842e-03;
    p = p * t + 1.66666666666666019037e-01;
    double c = r - t * p;
    double result = 1.0 - ((low - (r * c) / (2.0 - c)) - high);

    int64_t exponent = (int64_t)n;
    int64_t half = exponent / 2; /* 2^1024 is no double */
    return result * power_of_two(half) * power_of_two(exponent - half);
}

double fixed_log(double x)
{
    if (x != x || x == INFINITY) {
        return x;
    }
    if (x <= 0.0) {
        return x == 0.0 ? -INFINITY : NAN;
    }
    double bias = 0.0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        bias = -54.0;
    }
    /* x = 2^k * m with m in [sqrt(1/2), sqrt(2)) */
    const uint64_t sqrt_half_bits = 0x3FE6A09E667F3BCDu;
    uint64_t bits = bits_of_double(x) - sqrt_half_bits;
    double k = (double)((int64_t)bits >> 52) + bias;
    double f = double_of_bits((bits & 0xFFFFFFFFFFFFFu) + sqrt_half_bits) - 1.0;

    double s = f / (2.0 + f);
    double z = s * s;
    double w = z * z;
    double even = w * (3.999999999940941908e-01 +
                       w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    double odd = z * (6.666666666666735130e-01 +
                      w * (2.857142874366239149e-01 +
                           w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    double half_square = 0.5 * f * f;
    double tail = s * (half_square + (even + odd)) + k * LN2_LOW;
    return k * LN2_HIGH - ((half_square - tail) - f);
}

double fixed_log1p(double x)
{
    if (!(x > -1.0) || x == INFINITY) {
        return x == INFINITY ? x : fixed_log(1.0 + x);
    }
    if (x > -0x1p-54 && x < 0x1p-54) {
        return x;
    }
    /* What rounding 1 + x lost is put back to first order (Kahan). */
    double u = 1.0 + x;
    double lost = x > 1.0 ? 1.0 - (u - x) : x - (u - 1.0);
    return fixed_log(u) + lost / u;
}

double fixed_sigmoid(double x)
{
    double e = fixed_exp(x < 0.0 ? x : -x);
    return x < 0.0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
}

double fixed_logit(double p)
{
    if (p > 0.25 && p < 0.75) {
        return fixed_log1p((2.0 * p - 1.0) / (1.0 - p)); /* Near 1/2 the result is near 0. */
    }
    return p == 1.0 ? INFINITY : fixed_log(p / (1.0 - p));
}

/* x less the nearest multiple of pi/2, as a sum of two doubles; the multiple's last two bits. */
static int64_t reduce_angle(double x, double *ret_high, double *ret_low)
{
    double n = (x * 6.36619772367581382433e-01 + SHIFTER) - SHIFTER;
    double first = x - n * 1.57079632673412561417e+00; /* 33 bits of pi/2: the product is exact. */
    double step = n * 6.07710050630396597660e-11;      /* The next 33. */
    double rest = first - step;
    step = n * 2.02226624879595063154e-21 - ((first - rest) - step);
    *ret_high = rest - step;
    *ret_low = (rest - *ret_high) - step;
    return (int64_t)n & 3;
}

/* sin(x + low) on [-pi/4, pi/4] */
static double sin_kernel(double x, double low)
{
    double z = x * x;
    double v = z * x;
    double r = 1.58969099521155010221e-10;
    r = r * z - 2.50507602534068634195e-08;
    r = r * z + 2.75573137070700676789e-06;
    r = r * z - 1.98412698298579493134e-04;
    r = r * z + 8.33333333332248946124e-03;
    return x - ((z * (0.5 * low - v * r) - low) - v * -1.66666666666666324348e-01);
}

/* cos(x + low) on [-pi/4, pi/4] */
static double cos_kernel(double x, double low)
{
    double z = x * x;
    double r = -1.13596475577881948265e-11;
    r = r * z + 2.08757232129817482790e-09;
    r = r * z - 2.75573143513906633035e-07;
    r = r * z + 2.48015872894767294178e-05;
    r = r * z - 1.38888888888741095749e-03;
    r = r * z + 4.16666666666666019037e-02;
    double half_square = 0.5 * z;
    double w = 1.0 - half_square;
    return w + (((1.0 - w) - half_square) + (z * (z * r) - x * low));
}

static double sin_of_quadrant(double x, int64_t shift)
{
    if (!(x >= -0x1p20 * 1.57 && x <= 0x1p20 * 1.57)) {
        return NAN;
    }
    double high, low;
    int64_t quadrant = (reduce_angle(x, &high, &low) + shift) & 3;
    double value = quadrant & 1 ? cos_kernel(high, low) : sin_kernel(high, low);
    return quadrant & 2 ? -value : value;
}

double fixed_sin(double x)
{
    return sin_of_quadrant(x, 0);
}

double fixed_cos(double x)
{
    return sin_of_quadrant(x, 1);
}
