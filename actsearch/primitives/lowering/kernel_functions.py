"""Operators as float32 functions of kernels: one source, of which Triton and C++ text is made.

A function is a docstring, assignments of new names, and a return. It has + - * / & | ^ <<,
comparisons, numbers, and calls of functions above and of `kernel_intrinsics`; there are no branches
and no loops. Nothing depends on whether a compiler fuses x * y + z. Results below the normal
numbers may be 0. A polynomial says what it stands for, where, and how far it is off relative to
that; the coefficients are minimax fits, rounded to float32 one after the other.

The rest of the operators is in `kernel_special_functions`.
"""

from __future__ import annotations

from .kernel_intrinsics import (
    Float,
    Int,
    absolute,
    as_float,
    as_int,
    copy_sign,
    square_root,
    to_float,
    where,
)


def add(x: Float, y: Float) -> Float:
    """x + y."""
    return x + y


def sub(x: Float, y: Float) -> Float:
    """x - y."""
    return x - y


def mul(x: Float, y: Float) -> Float:
    """x y."""
    return x * y


def div(x: Float, y: Float) -> Float:
    """x / y."""
    return x / y


def neg(x: Float) -> Float:
    """-x."""
    return -x


def sign(x: Float) -> Float:
    """-1, 0 or 1; 0 for NaN."""
    return where(x > 0.0, 1.0, where(x < 0.0, -1.0, 0.0))


def step(x: Float) -> Float:
    """0 below zero, 1 above; 1/2 at zero and for NaN."""
    return where(x > 0.0, 1.0, where(x < 0.0, 0.0, 0.5))


def greater(x: Float, y: Float) -> Float:
    """1 where x > y, 1/2 where they are equal, else 0."""
    return where(x > y, 1.0, where(x == y, 0.5, 0.0))


def chain(x: Float, y: Float) -> Float:
    """x y, but 0 wherever a factor is 0, whatever the other one is."""
    return where((x != 0.0) & (y != 0.0), x * y, 0.0)


def surrogate(x: Float, y: Float) -> Float:
    """x; its slope is that of y."""
    return x


def round_to_even(x: Float) -> Float:
    """The whole number nearest to x, the even one of two."""
    size = absolute(x)
    # 2^23 leaves no bits for a fraction; from there on all numbers are whole.
    whole = (size + 8388608.0) - 8388608.0
    return copy_sign(where(size < 8388608.0, whole, size), x)


def square(x: Float) -> Float:
    """x^2."""
    return x * x


def cube(x: Float) -> Float:
    """x^3."""
    return x * x * x


def reciprocal(x: Float) -> Float:
    """1 / x."""
    return 1.0 / x


def signed_sqrt(x: Float) -> Float:
    """sign(x) sqrt(|x|)."""
    return copy_sign(square_root(absolute(x)), x)


def protected_div(x: Float, y: Float) -> Float:
    """x / (y + 1e-7)."""
    return x / (y + 1e-7)


def analytic_quotient(x: Float, y: Float) -> Float:
    """x / sqrt(1 + y^2)."""
    size = absolute(y)
    # From 1e4 on the 1 is below the rounding; y^2 overflows at 1.8e19.
    return x / where(size > 1e4, size, square_root(1.0 + y * y))


def above_zero(x: Float) -> Float:
    """max(x, 0), NaN for NaN."""
    return where(x < 0.0, 0.0, x)


def below_zero(x: Float) -> Float:
    """min(x, 0), NaN for NaN."""
    return where(x > 0.0, 0.0, x)


def relu(x: Float) -> Float:
    """max(x, 0)."""
    return above_zero(x)


def softsign(x: Float) -> Float:
    """x / (1 + |x|)."""
    return x / (1.0 + absolute(x))


def hard_sigmoid_keras2(x: Float) -> Float:
    """0.2 x + 0.5, clipped to [0, 1]; in this form it does not cancel at -2.5."""
    line = (x + 2.5) * 0.2
    return where(line > 1.0, 1.0, above_zero(line))


def expm1_near_zero(r: Float) -> Float:
    """e^r - 1 for |r| <= ln(2) / 2, to 1.4e-8 of r."""
    tail = 0.5 + r * (0.16666543 + r * (0.041666444 + r * (0.008366545 + r * 0.0013936899)))
    return r + r * r * tail


def shifted_exponent(x: Float) -> Float:
    """The whole number n nearest to x / ln(2), plus 1.5 * 2^23: that rounds it, and puts it into
    the low bits."""
    return x * 1.442695 + 12582912.0


def remainder(x: Float, shifted: Float) -> Float:
    """x - n ln(2) for the n of its `shifted_exponent`."""
    n = shifted - 12582912.0
    # ln(2) in two parts; the first has 15 bits, so that its product with n is exact.
    return x - n * 0.69314575 - n * 1.4286068e-06


def power_of_two(shifted: Float) -> Float:
    """2^n for the n of a `shifted_exponent`, from -127, where it is 0, to 128, where infinite."""
    return as_float((as_int(shifted) << 23) + 0x3F800000)


def exp_of_moderate(x: Float) -> Float:
    """e^x on [-88.3, 89]; 0 below -87.7, infinite from 88.38 on."""
    shifted = shifted_exponent(x)
    return (1.0 + expm1_near_zero(remainder(x, shifted))) * power_of_two(shifted)


def exp_of_sum(x: Float, y: Float) -> Float:
    """e^(x + y) for a small y, of which the sum would lose a part; 0 below the normal numbers."""
    total = x + y
    shifted = shifted_exponent(total)
    fraction = 1.0 + expm1_near_zero(remainder(x, shifted) + y)
    # n may be 128 here, so it is added to the exponent of the fraction, which is then below 1.
    value = as_float(as_int(fraction) + (as_int(shifted) << 23))
    normal = where(total < -87.33654, 0.0, value)
    return where(total <= 88.72283, normal, total * float("inf"))


def exp(x: Float) -> Float:
    """e^x."""
    return exp_of_sum(x, 0.0)


def part_of_expm1(x: Float, largest: Float, part: Float, bits: Int) -> Float:
    """(e^x - 1) times a part of 1 that has these bits, for x up to the largest."""
    clipped = where(x > largest, largest, where(x < -18.0, -18.0, x))
    shifted = shifted_exponent(clipped)
    scale = as_float((as_int(shifted) << 23) + bits)
    return expm1_near_zero(remainder(clipped, shifted)) * scale + (scale - part)


def half_of_expm1(x: Float) -> Float:
    """(e^x - 1) / 2, for x up to 89; twice that is infinite."""
    return part_of_expm1(x, 89.0, 0.5, 0x3F000000)


def expm1(x: Float) -> Float:
    """e^x - 1."""
    return half_of_expm1(x) * 2.0


def elu(x: Float) -> Float:
    """x, or e^x - 1 below 0."""
    return above_zero(x) + expm1(below_zero(x))


def selu(x: Float) -> Float:
    """1.0507 times x, or 1.6733 (e^x - 1) below 0."""
    return 1.050701 * above_zero(x) + 1.7580993 * expm1(below_zero(x))


def sinh(x: Float) -> Float:
    """sinh(x): h + h / (2 h + 1) for h = (e^|x| - 1) / 2, with the sign of x."""
    half = part_of_expm1(absolute(x), 89.5, 0.25, 0x3E800000) * 2.0
    # From 1e30 on the quotient is 1/2; infinity over infinity would be NaN.
    bounded = where(half > 1e30, 1e30, half)
    return copy_sign(half + bounded / (2.0 * bounded + 1.0), x)


def cosh(x: Float) -> Float:
    """cosh(x): h + 1 / (4 h) for h = e^|x| / 2."""
    size = absolute(x)
    bounded = where(size > 89.5, 89.5, size)
    shifted = shifted_exponent(bounded)
    fraction = 1.0 + expm1_near_zero(remainder(bounded, shifted))
    half = fraction * as_float((as_int(shifted) << 23) + 0x3E800000) * 2.0
    return half + 0.25 / half


def tanh(x: Float) -> Float:
    """tanh(x): h / (h + 1) for h = (e^2x - 1) / 2."""
    half = half_of_expm1(x + x)
    return half / (half + 1.0)


def sech_squared(x: Float) -> Float:
    """1 / cosh(x)^2, the slope of tanh: 4 d / (1 + d)^2 for d = e^-2|x|."""
    size = absolute(x)
    exponent = where(size > 44.7, -89.4, -2.0 * size)
    shifted = shifted_exponent(exponent)
    # 4 d and not d, which underflows before the result does.
    fraction = 1.0 + expm1_near_zero(remainder(exponent, shifted))
    four = fraction * as_float((as_int(shifted) << 23) + 0x40800000)
    root = 1.0 + 0.25 * four
    return four / (root * root)


def sigmoid(x: Float) -> Float:
    """1 / (1 + e^-x)."""
    exponent = where(x > 88.0, -88.0, where(x < -88.6, 88.6, -x))
    return 1.0 / (1.0 + exp_of_moderate(exponent))


def log1p_near_zero(m: Float) -> Float:
    """ln(1 + m) on [-1/4, 1/2], to 5e-9."""
    high = -0.16647099 + m * (0.14478724 + m * (-0.13163352 + m * (0.10465307 - m * 0.045076203)))
    tail = -0.5 + m * (0.3333345 + m * (-0.250001 + m * (0.1999081 + m * high)))
    return m + m * m * tail


def log_of_normal(x: Float) -> Float:
    """ln(x) of a positive normal number."""
    # x = 2^k (1 + m) with 1 + m in [3/4, 3/2); the exponent is k 2^23.
    exponent = (as_int(x) - 0x3F400000) & -0x800000
    m = as_float(as_int(x) - exponent) - 1.0
    return to_float(exponent) * 8.262958e-08 + log1p_near_zero(m)


def log1p_above_minus_one(x: Float) -> Float:
    """ln(1 + x) for x > -1."""
    # 1 + x = 2^k (1 + m) as in `log_of_normal`, but without the rounding of 1 + x: m is
    # 2^-k x + (2^-k - 1). The scale is 4 times 2^-k, since k is up to 128.
    exponent = (as_int(1.0 + x) - 0x3F400000) & -0x800000
    scale = as_float(0x40800000 - exponent)
    m = as_float(as_int(x) - exponent) + (0.25 * scale - 1.0)
    value = to_float(exponent) * 8.262958e-08 + log1p_near_zero(m)
    return where(x < float("inf"), value, x)


def log(x: Float) -> Float:
    """ln(x)."""
    small = x < 1.2e-38
    normal = where(small, x * 8388608.0, x)
    value = log_of_normal(normal) - where(small, 15.942385, 0.0)
    at_most_zero = where(x == 0.0, -float("inf"), float("nan"))
    return where(x > 0.0, where(x < float("inf"), value, x), at_most_zero)


def log1p(x: Float) -> Float:
    """ln(1 + x)."""
    at_most_minus_one = where(x == -1.0, -float("inf"), float("nan"))
    return where(x > -1.0, log1p_above_minus_one(x), at_most_minus_one)


def protected_log(x: Float) -> Float:
    """ln(|x| + 1e-7)."""
    positive = absolute(x) + 1e-7
    return where(positive < float("inf"), log_of_normal(positive), positive)


def log1p_of_fraction(x: Float) -> Float:
    """ln(1 + x) on [0, 1], to 5.3e-9."""
    high = -0.15349022 + x * (0.106697984 + x * (-0.057558578 + x * (0.02014835 - x * 0.003306016)))
    tail = 0.3333047 + x * (-0.24958156 + x * (0.19693182 + x * high))
    return x * (1.0 + x * (-0.4999993 + x * tail))


def log1p_of_decay(x: Float) -> Float:
    """ln(1 + e^-x) for x >= 0."""
    return log1p_of_fraction(exp_of_moderate(where(x > 88.0, -88.0, -x)))


def softplus(x: Float) -> Float:
    """ln(1 + e^x)."""
    return above_zero(x) + log1p_of_decay(absolute(x))


def log_sigmoid(x: Float) -> Float:
    """-ln(1 + e^-x)."""
    return below_zero(x) - log1p_of_decay(absolute(x))


def log_cosh(x: Float) -> Float:
    """ln(cosh(x)): ln(1 + sinh(x)^2) / 2 up to 2, then |x| + ln(1 + e^-2|x|) - ln(2)."""
    size = absolute(x)
    root = sinh(where(size < 2.0, size, 0.0))
    near = 0.5 * log1p_above_minus_one(root * root)
    far = size + (log1p_of_decay(size + size) - 0.6931472)
    return where(size < 2.0, near, far)


def tanh_shrink(x: Float) -> Float:
    """x - tanh(x): up to 2 the power series of x cosh(x) - sinh(x), divided by cosh(x)."""
    size = absolute(x)
    small = where(size < 2.0, x, 0.0)
    s = small * small
    high = 2.2045855e-05 + s * (2.5052108e-07 + s * (1.9270852e-09 + s * 1.0706029e-11))
    series = 0.33333334 + s * (0.033333335 + s * (0.0011904762 + s * high))
    return where(size < 2.0, series * s * small / cosh(small), x - tanh(x))


def asinh(x: Float) -> Float:
    """Inverse hyperbolic sine: ln(1 + |x| + x^2 / (1 + sqrt(x^2 + 1))) with the sign of x."""
    size = absolute(x)
    # Above 1e9 it is ln(2 |x|); the 2 is taken out as it might overflow.
    large = size > 1e9
    total = size + size * size / (1.0 + square_root(size * size + 1.0))
    value = log1p_above_minus_one(where(large, size, total)) + where(large, 0.6931472, 0.0)
    return copy_sign(value, x)


def atan(x: Float) -> Float:
    """arctan(x): a polynomial on [0, 1], to 1.7e-8; above 1, pi/2 less that of 1 / x."""
    size = absolute(x)
    inverted = size > 1.0
    z = where(inverted, 1.0, size) / where(inverted, size, 1.0)
    s = z * z
    high = 0.10665786 + s * (-0.07551729 + s * (0.043205976 + s * (-0.016364245 + s * 0.00291976)))
    tail = -0.33333153 + s * (0.19993767 + s * (-0.14211003 + s * high))
    angle = z + z * s * tail
    return copy_sign(where(inverted, 1.5707964 - angle, angle), x)


def without_half_turns(x: Float, n: Float) -> Float:
    """x - n pi; 0 beyond 1e7, where neighbouring numbers are a radian apart; NaN for infinity."""
    # pi in four parts. The first two have 9 bits, so that their products are exact up to 5e4
    # even where they are rounded; where they are fused with the sum, it goes on to 1e6.
    rough = x - n * 3.140625 - n * 0.00096702576
    return where(absolute(x) <= 1e7, rough - n * 6.2783295e-07 - n * 1.0780606e-14, x - x)


def sin_of_half_turn(r: Float) -> Float:
    """sin(r) for |r| <= pi/2, to 6.2e-9."""
    s = r * r
    tail = -0.1666666 + s * (0.008333069 + s * (-0.00019809777 + s * 2.606096e-06))
    return r + r * s * tail


def sin(x: Float) -> Float:
    """sin(x): to 3 ulp up to 1e6, to 1e-4 up to 1e7, and 0 beyond."""
    shifted = x * 0.31830987 + 12582912.0
    value = sin_of_half_turn(without_half_turns(x, shifted - 12582912.0))
    # An odd number of half turns changes the sign.
    return as_float(as_int(value) ^ (as_int(shifted) << 31))


def cos(x: Float) -> Float:
    """cos(x), as exact as `sin`."""
    # A quarter turn before sin, so that n is half an odd number.
    shifted = (x * 0.31830987 + 0.5) + 12582912.0
    value = sin_of_half_turn(without_half_turns(x, shifted - 12582912.0 - 0.5))
    return as_float(as_int(value) ^ (as_int(shifted) << 31))


def sinc(x: Float) -> Float:
    """sin(x) / x, and 1 at 0."""
    at_zero = x == 0.0
    return where(at_zero, 1.0, sin(x) / where(at_zero, 1.0, x))


def sinc_slope(x: Float) -> Float:
    """Derivative of sin(x) / x; for |x| < 1.5, where its terms cancel, a polynomial, to 3e-8."""
    s = x * x
    tail = -0.001190741 + s * (2.221857e-05 - s * 2.8185832e-07)
    near = x * (-0.33333334 + s * (0.03333346 + s * tail))
    far = (cos(x) - sin(x) / x) / x
    return where(s < 2.25, near, far)
