"""More operators for kernels: error functions, Bessel functions, powers.

Written as `kernel_functions` is.
"""

from __future__ import annotations

from .kernel_functions import (
    exp_of_sum,
    expm1_near_zero,
    log1p_of_decay,
    power_of_two,
    remainder,
    shifted_exponent,
)
from .kernel_intrinsics import (
    Float,
    absolute,
    as_float,
    as_int,
    copy_sign,
    floor,
    maximum,
    square_root,
    to_float,
    where,
)


def leading_bits(x: Float) -> Float:
    """x without the last 12 of its 24 bits; products of two such numbers are exact."""
    return as_float(as_int(x) & -0x1000)


def exp_of_minus_square(x: Float, weight: Float) -> Float:
    """e^(-weight x^2) up to weight x^2 = 88; 0 there."""
    # The rounding of x^2 alone would cost up to x^2 / 2 units in the last place.
    leading = leading_bits(x)
    high = -weight * (leading * leading)
    low = -weight * ((x - leading) * (x + leading))
    shifted = shifted_exponent(high)
    return (1.0 + expm1_near_zero(remainder(high, shifted) + low)) * power_of_two(shifted)


def gaussian(x: Float) -> Float:
    """e^(-x^2)."""
    size = absolute(x)
    return exp_of_minus_square(where(size > 9.375, 9.375, size), 1.0)


def erf(x: Float) -> Float:
    """erf(x): a polynomial up to 1, to 4e-8; then 1 - 1 / p^8 with a polynomial p, to 1.2e-8."""
    size = absolute(x)
    s = size * size
    high = 0.11280178 + s * (-0.026711352 + s * (0.004917651 - s * 0.0005631939))
    near = size + size * (0.12837912 + s * (-0.37612325 + s * high))
    a = where(size > 3.95, 3.95, size)
    tail = 0.07478316 + a * (
        -0.033689547 + a * (0.01799429 + a * (-0.004051174 + a * 0.0005478059))
    )
    root = 0.9963798 + a * (0.15970996 + a * (0.048437804 + a * tail))
    root2 = root * root
    root4 = root2 * root2
    far = 1.0 - 1.0 / (root4 * root4)
    return copy_sign(where(size > 1.0, far, near), x)


def erfc(x: Float) -> Float:
    """1 - erf(x): e^(-x^2) times a quotient of polynomials on [0, 9.375], to 3e-8."""
    size = absolute(x)
    a = where(size > 9.375, 9.375, size)
    above = 1.2392534 + a * (0.73248744 + a * (0.22964011 + a * 0.032885037))
    below = 2.4040658 + a * (1.3270177 + a * (0.4070525 + a * 0.05828653))
    quotient = (1.0 + a * above) / (1.0 + a * (2.367633 + a * below))
    value = exp_of_minus_square(a, 1.0) * quotient
    return where(x < 0.0, 2.0 - value, value)


def normal_cdf(x: Float) -> Float:
    """Standard normal distribution function: e^(-x^2 / 2) times a quotient of polynomials on
    [0, 13.25], to 1.7e-8."""
    size = absolute(x)
    a = where(size > 13.25, 13.25, size)
    above = 0.43561378 + a * (0.18125504 + a * (0.0399666 + a * 0.0040175933))
    below = 1.194265 + a * (0.464243 + a * (0.100188926 + a * 0.010070465))
    quotient = (0.5 + a * above) / (1.0 + a * (1.6691124 + a * below))
    value = exp_of_minus_square(a, 0.5) * quotient
    return where(x > 0.0, 1.0 - value, value)


def logaddexp(x: Float, y: Float) -> Float:
    """ln(e^x + e^y)."""
    # Equal infinities have no difference.
    distance = where(x == y, 0.0, absolute(x - y))
    return maximum(x, y) + log1p_of_decay(distance)


def bessel_i0e(x: Float) -> Float:
    """e^-|x| I0(x): a quotient of polynomials up to 6, then one in 1 / |x|, to 2e-8 and 5e-8."""
    a = absolute(x)
    above = 0.2117979 + a * (0.01631483 + a * (0.006843913 + a * 0.00012981264))
    below = 0.5500855 + a * (0.16691548 + a * (0.032153536 + a * 0.003896075))
    near = (1.0 + a * (0.08830061 + a * above)) / (1.0 + a * (1.0883015 + a * below))
    z = 1.0 / a
    tail = 0.04309307 + z * (-0.105072536 + z * (0.74507385 - z * 0.33995858))
    far = square_root(z) * (0.39894226 + z * (0.049875733 + z * (0.027497323 + z * tail)))
    return where(a > 6.0, far, near)


def bessel_i1e(x: Float) -> Float:
    """e^-|x| I1(x): a quotient of polynomials up to 6, then one in 1 / |x|, to 2e-9 and 3e-8."""
    a = absolute(x)
    above = 0.045632422 + a * (0.003077648 + a * (0.0007856082 + a * 1.118889e-05))
    below = 0.5488724 + a * (0.17006135 + a * (0.034983765 + a * (0.004749868 + a * 0.000383937)))
    near = (0.5 + a * (0.04130348 + a * above)) / (1.0 + a * (1.0826069 + a * below))
    z = 1.0 / a
    tail = -0.047641005 + z * (0.0031849125 + z * (-0.24512666 - z * 0.88928115))
    far = square_root(z) * (0.3989423 + z * (-0.1496079 + z * (-0.046456903 + z * tail)))
    return where(a > 6.0, copy_sign(far, x), x * near)


def bessel_i0e_slope(x: Float) -> Float:
    """Derivative of `bessel_i0e`, i1e(x) - sign(x) i0e(x), and 0 at 0.

    Fitted as a whole, since its terms cancel: to 6e-8 up to 6, then to 3e-8.
    """
    a = absolute(x)
    above = 0.11921954 + a * (-0.0059931246 + a * (0.0020222783 + a * 1.0418658e-05))
    high = 0.27344784 + a * (0.06966649 + a * (0.011949314 + a * 0.0016547961))
    below = 1.2465773 + a * (0.7391197 + a * high)
    near = (0.99999994 + a * (-0.25341997 + a * above)) / (1.0 + a * below)
    z = 1.0 / a
    end = -0.46562892 + z * (14.123825 + z * (-141.34506 + z * (743.3366 - z * 1421.6483)))
    tail = 0.074800484 + z * (0.07004515 + z * (0.11728588 + z * end))
    far = z * square_root(z) * (0.19947115 + z * tail)
    return where(x == 0.0, 0.0, copy_sign(where(a > 6.0, far, near), -x))


def bessel_i1e_slope(x: Float) -> Float:
    """Derivative of `bessel_i1e`, fitted as that of `bessel_i0e`: to 2e-8 up to 6, then to 3e-8."""
    a = absolute(x)
    above = 0.019574968 + a * (-0.0010544208 + a * (0.00012127478 - a * 2.7798237e-06))
    high = 0.22079769 + a * (0.050748296 + a * (0.0077929823 + a * 0.00082228694))
    below = 1.1732839 + a * (0.6482554 + a * high)
    quotient = (0.32359794 + a * (-0.058092076 + a * above)) / (1.0 + a * below)
    # Its zero, in two parts, is a factor, so that the value is right beside it too.
    near = ((1.5451273 - a) - 1.4613353e-08) * quotient
    z = 1.0 / a
    end = 1.0189912 + z * (-22.082985 + z * (198.50432 + z * (-966.4981 + z * 1765.9497)))
    tail = -0.2244097 + z * (-0.11618327 + z * (-0.18503663 + z * end))
    far = z * square_root(z) * (0.19947115 + z * tail)
    return where(a > 6.0, -far, near)


def power(x: Float, y: Float) -> Float:
    """x^y: 1 for y = 0 and for x = 1, NaN for a negative x unless y is whole or x infinite."""
    base = absolute(x)
    # base = 2^k m with m in [3/4, 3/2), and ln(m) = 2 artanh(s) for s = (m - 1) / (m + 1).
    small = base < 1.2e-38
    bits = as_int(where(small, base * 8388608.0, base))
    exponent = (bits - 0x3F400000) & -0x800000
    m = as_float(bits - exponent)
    k = to_float(exponent) * 1.1920929e-07 - where(small, 23.0, 0.0)
    # s in two parts; the first has 12 bits, and so has that of m + 1.
    inverse = 1.0 / (m + 1.0)
    s = (m - 1.0) * inverse
    s_leading = leading_bits(s)
    sum_leading = leading_bits(m + 1.0)
    sum_rest = m - (sum_leading - 1.0)
    s_rest = ((m - 1.0 - s_leading * sum_leading) - s_leading * sum_rest) * inverse
    # 2 artanh(s) - 2 s on [-1/7, 1/5], to 3e-8.
    s2 = s * s
    tail = 0.6666667 + s2 * (0.39999387 + s2 * (0.28590527 + s2 * 0.22820473))
    # ln(base) in two parts; k times the first part of ln(2), of 15 bits, is exact.
    whole = k * 0.69314575
    log_leading = whole + 2.0 * s_leading
    lost = (whole - log_leading) + 2.0 * s_leading
    log_rest = lost + (2.0 * s_rest + s * s2 * tail + k * 1.4286068e-06)
    # Beyond 1e10 every power but that of 1 is 0 or infinite.
    bounded = where(y > 1e10, 1e10, where(y < -1e10, -1e10, y))
    y_leading = leading_bits(bounded)
    log_first = leading_bits(log_leading)
    log_second = (log_leading - log_first) + log_rest
    product_rest = y_leading * log_second + (bounded - y_leading) * (log_leading + log_rest)
    value = exp_of_sum(y_leading * log_first, product_rest)
    # 0 and infinity have no logarithm.
    finite = where(base < float("inf"), value, where(y < 0.0, 0.0, base))
    positive = where(base == 0.0, where(y < 0.0, float("inf"), base), finite)
    is_whole = floor(y) == y
    is_odd = is_whole & (floor(0.5 * y) != 0.5 * y)
    directed = where(is_odd, copy_sign(positive, x), positive)
    has_value = (y == y) & ((x >= 0.0) | (x < 0.0) & (is_whole | (base == float("inf"))))
    return where((y == 0.0) | (x == 1.0), 1.0, where(has_value, directed, float("nan")))
