"""Operators as float32 functions: arithmetic, exponentials and logarithms.

Each is one source for two languages: `kernel_languages` makes Triton and C++ of it. So the files
keep to what both can say: float32 values, assignments, arithmetic, comparisons, calls of functions
defined above, and the intrinsics of `kernel_intrinsics`. There are no branches, whose both sides a
vector unit computes anyhow, and no library functions, which differ between devices. Accuracy is
stated in units in the last place; results below the normal numbers may be 0. Coefficients are
Chebyshev fits made with mpmath.
"""

from __future__ import annotations

from .kernel_intrinsics import (
    Value,
    as_float,
    as_int,
    floor,
    fma,
    larger,
    magnitude,
    root,
    smaller,
    to_float,
    to_int,
    where,
)


def add(x: Value, y: Value) -> Value:
    return x + y


def sub(x: Value, y: Value) -> Value:
    return x - y


def mul(x: Value, y: Value) -> Value:
    return x * y


def div(x: Value, y: Value) -> Value:
    return x / y


def maximum(x: Value, y: Value) -> Value:
    return larger(x, y)


def minimum(x: Value, y: Value) -> Value:
    return smaller(x, y)


def greater(x: Value, y: Value) -> Value:
    return where(x > y, 1.0, where(x == y, 0.5, 0.0))


def chain(x: Value, y: Value) -> Value:
    return where((x == 0.0) | (y == 0.0), 0.0, x * y)


def protected_div(x: Value, y: Value) -> Value:
    return x / (y + 1e-7)


def analytic_quotient(x: Value, y: Value) -> Value:
    size = magnitude(y)
    # Beyond 1e9 the square could overflow, and the 1 beside it is nothing.
    return where(size > 1e9, x / size, x / root(fma(size, size, 1.0)))


def neg(x: Value) -> Value:
    return -x


def absolute(x: Value) -> Value:
    return magnitude(x)


def with_sign(size: Value, x: Value) -> Value:
    """size >= 0 with the sign bit of x."""
    return as_float(as_int(size) | (as_int(x) & -2147483648))


def sign(x: Value) -> Value:
    return where(x > 0.0, 1.0, where(x < 0.0, -1.0, 0.0))


def step(x: Value) -> Value:
    return where(x > 0.0, 1.0, where(x < 0.0, 0.0, 0.5))


def square(x: Value) -> Value:
    return x * x


def cube(x: Value) -> Value:
    return x * x * x


def sqrt(x: Value) -> Value:
    return root(x)


def signed_sqrt(x: Value) -> Value:
    return with_sign(root(magnitude(x)), x)


def reciprocal(x: Value) -> Value:
    return 1.0 / x


def relu(x: Value) -> Value:
    return where(x < 0.0, 0.0, x)


def softsign(x: Value) -> Value:
    size = magnitude(x)
    # inf / inf would be NaN.
    return where(size > 1e9, with_sign(1.0 + 0.0 * size, x), x / (1.0 + size))


def hard_sigmoid_keras2(x: Value) -> Value:
    return where(x > 2.5, 1.0, where(x < -2.5, 0.0, (x + 2.5) / 5.0))


def exp(x: Value) -> Value:
    """Within 1 unit: 2^k times a polynomial in the rest, |r| <= log(2)/2, to 3e-10."""
    bounded = where(x > 89.0, 89.0, where(x < -104.0, -104.0, x))
    k = floor(fma(bounded, 1.44269504, 0.5))
    r = fma(k, -0.693145752, bounded)
    r = fma(k, -1.42860677e-06, r)
    p = fma(r, 0.000198919813, 0.00139345419)
    p = fma(p, r, 0.00833331002)
    p = fma(p, r, 0.0416664568)
    p = fma(p, r, 0.166666667)
    p = fma(p, r, 0.500000001)
    p = fma(r * r, p, r) + 1.0
    # 2^k in two factors, for k reaches 128 and, towards subnormal results, -150.
    half = to_int(k) >> 1
    rest = to_int(k) - half
    return p * as_float((half + 127) << 23) * as_float((rest + 127) << 23)


def exp_negative(x: Value) -> Value:
    """exp(x) for x <= 0, within 1 unit; 0 where the result is below the normal numbers."""
    bounded = where(x < -87.3365, -87.3365, x)
    k = floor(fma(bounded, 1.44269504, 0.5))
    r = fma(k, -0.693145752, bounded)
    r = fma(k, -1.42860677e-06, r)
    p = fma(r, 0.000198919813, 0.00139345419)
    p = fma(p, r, 0.00833331002)
    p = fma(p, r, 0.0416664568)
    p = fma(p, r, 0.166666667)
    p = fma(p, r, 0.500000001)
    p = fma(r * r, p, r) + 1.0
    value = p * as_float((to_int(k) + 127) << 23)
    return where(x < -87.3365, 0.0, value)


def expm1(x: Value) -> Value:
    """Within 2 units: as exp, with the 1 taken from 2^k before the rest is added."""
    bounded = where(x > 89.0, 89.0, where(x < -20.0, -20.0, x))
    k = floor(fma(bounded, 1.44269504, 0.5))
    r = fma(k, -0.693145752, bounded)
    r = fma(k, -1.42860677e-06, r)
    p = fma(r, 0.000198919813, 0.00139345419)
    p = fma(p, r, 0.00833331002)
    p = fma(p, r, 0.0416664568)
    p = fma(p, r, 0.166666667)
    p = fma(p, r, 0.500000001)
    p = fma(r * r, p, r)
    # Half of 2^k, for k reaches 128.
    half = as_float((to_int(k) + 126) << 23)
    return where(k == 0.0, p, 2.0 * fma(half, p, half - 0.5))


def gaussian(x: Value) -> Value:
    """Within 2 units: exp(-x^2), corrected for the rounding of x^2."""
    size = magnitude(x)
    bounded = where(size > 20.0, 20.0, size)
    high = bounded * bounded
    low = fma(bounded, bounded, -high)
    whole = exp_negative(-high)
    return fma(-low, whole, whole)


def log(x: Value) -> Value:
    """Within 1 unit: exponent and mantissa in [0.707, 1.414], polynomial to 3e-8 f^3."""
    # 2^24 lifts subnormal numbers into the normal range.
    small = x < 1.17549435e-38
    lifted = where(small, x * 16777216.0, x)
    bits = as_int(lifted)
    exponent = (bits - 1060439283) >> 23
    f = as_float(bits - (exponent << 23)) - 1.0
    e = to_float(exponent) - where(small, 24.0, 0.0)
    p = fma(f, 0.0697161147, -0.114797338)
    p = fma(p, f, 0.116854199)
    p = fma(p, f, -0.124256873)
    p = fma(p, f, 0.142490576)
    p = fma(p, f, -0.166678023)
    p = fma(p, f, 0.200007157)
    p = fma(p, f, -0.24999997)
    p = fma(p, f, 0.333333312)
    s = f * f
    p = fma(s * f, p, e * 1.42860677e-06)
    p = fma(s, -0.5, p)
    finite = fma(e, 0.693145752, p + f)
    special = where(x == 0.0, -1.0 / magnitude(x), where(x < 0.0, root(x), x))
    return where((x > 0.0) & (x <= 3.4028235e38), finite, special)


def log1p(x: Value) -> Value:
    """Within 2 units: as log of 1 + x, with what the sum lost added to the mantissa."""
    whole = 1.0 + x
    # Which part of the smaller term the sum has dropped.
    lost = where(magnitude(x) < 1.0, x - (whole - 1.0), 1.0 - (whole - x))
    bits = as_int(whole)
    exponent = (bits - 1060439283) >> 23
    least = where(exponent > 64, 64, exponent)
    f = as_float(bits - (exponent << 23)) - 1.0
    f = fma(lost, as_float((127 - least) << 23), f)
    e = to_float(exponent)
    p = fma(f, 0.0697161147, -0.114797338)
    p = fma(p, f, 0.116854199)
    p = fma(p, f, -0.124256873)
    p = fma(p, f, 0.142490576)
    p = fma(p, f, -0.166678023)
    p = fma(p, f, 0.200007157)
    p = fma(p, f, -0.24999997)
    p = fma(p, f, 0.333333312)
    s = f * f
    p = fma(s * f, p, e * 1.42860677e-06)
    p = fma(s, -0.5, p)
    finite = fma(e, 0.693145752, p + f)
    special = where(whole == 0.0, -1.0 / whole, where(whole < 0.0, root(whole), x))
    return where((whole > 0.0) & (whole <= 3.4028235e38), finite, special)


def log1p_unit(t: Value) -> Value:
    """log(1 + t) for t in [0, 1], within 2 units."""
    p = fma(t, 0.00198669659, -0.0131878266)
    p = fma(p, t, 0.0410065737)
    p = fma(p, t, -0.0818804092)
    p = fma(p, t, 0.123779959)
    p = fma(p, t, -0.16087623)
    p = fma(p, t, 0.198858203)
    p = fma(p, t, -0.249864965)
    p = fma(p, t, 0.333324975)
    p = fma(p, t, -0.499999795)
    p = fma(p, t, 0.999999999)
    return t * p


def protected_log(x: Value) -> Value:
    return log(magnitude(x) + 1e-7)


def softplus(x: Value) -> Value:
    return larger(x, 0.0) + log1p_unit(exp_negative(-magnitude(x)))


def log_sigmoid(x: Value) -> Value:
    return smaller(x, 0.0) - log1p_unit(exp_negative(-magnitude(x)))


def sigmoid(x: Value) -> Value:
    """Within 2 units, in the lower tail too."""
    decay = exp_negative(-magnitude(x))
    return where(x < 0.0, decay, 1.0) / (1.0 + decay)


def logaddexp(x: Value, y: Value) -> Value:
    # Equal infinities would differ by NaN.
    apart = where(x == y, 0.0, magnitude(x - y))
    return larger(x, y) + log1p_unit(exp_negative(-apart))


def tanh(x: Value) -> Value:
    """Within 2 units."""
    t = expm1(-2.0 * magnitude(x))
    return with_sign(-t / (2.0 + t), x)


def sech_squared(x: Value) -> Value:
    decay = exp_negative(-magnitude(x))
    sech = 2.0 * decay / fma(decay, decay, 1.0)
    return sech * sech


def sinh(x: Value) -> Value:
    t = expm1(magnitude(x))
    return with_sign(0.5 * (t + where(t > 1e10, 1.0, t / (t + 1.0))), x)


def cosh(x: Value) -> Value:
    e = exp(magnitude(x))
    return 0.5 * (e + 1.0 / e)


def asinh(x: Value) -> Value:
    """Within 3 units: log1p(a + a^2 / (1 + sqrt(1 + a^2))), and log(2a) where a^2 overflows."""
    size = magnitude(x)
    far = size > 1e9
    near = where(far, 1.0, size)
    near = near + near * near / (1.0 + root(fma(near, near, 1.0)))
    value = log1p(where(far, size, near)) + where(far, 0.693147181, 0.0)
    return with_sign(value, x)


def elu(x: Value) -> Value:
    return where(x > 0.0, x, expm1(smaller(x, 0.0)))


def selu(x: Value) -> Value:
    return 1.05070099 * where(x > 0.0, x, 1.67326324 * expm1(smaller(x, 0.0)))


def power(x: Value, y: Value) -> Value:
    """x^y by a logarithm of twice the precision, within 4 units.

    A negative x has a value only for whole y.
    """
    size = magnitude(x)
    small = size < 1.17549435e-38
    lifted = where(small, size * 16777216.0, size)
    bits = as_int(lifted)
    exponent = (bits - 1060439283) >> 23
    f = as_float(bits - (exponent << 23)) - 1.0
    e = to_float(exponent) - where(small, 24.0, 0.0)
    # log(1 + f) = 2 atanh(s) with s = f / (2 + f), s to twice the precision.
    below = 2.0 + f
    lost = f - (below - 2.0)
    s = f / below
    s_low = fma(-s, below, f)
    s_low = fma(-s, lost, s_low) / below
    z = s * s
    p = fma(z, 0.233534276, 0.285499686)
    p = fma(p, z, 0.400001294)
    p = fma(p, z, 0.666666665)
    # e log(2) + 2 s is summed without loss; the first product is exact.
    leading = e * 0.693145752
    sum_high = leading + 2.0 * s
    rest = where(e == 0.0, 0.0, (leading - sum_high) + 2.0 * s)
    rest = fma(s * z, p, 2.0 * s_low + e * 1.42860677e-06) + rest
    high = sum_high + rest
    low = (sum_high - high) + rest
    product = y * high
    product_low = fma(y, low, fma(y, high, -product))
    value = exp(product)
    ordinary = (magnitude(product) < 110.0) & (value <= 3.4028235e38)
    value = where(ordinary, fma(value, product_low, value), value)
    value = where(size == 1.0, 1.0, value)
    value = where(size == 0.0, where(y > 0.0, 0.0, 1.0 / (size * size)), value)
    infinite = size > 3.4028235e38
    value = where(infinite, where(y > 0.0, size, 0.0), value)
    whole = floor(y) == y
    odd = whole & (floor(y * 0.5) != y * 0.5)
    negative = as_int(x) < 0
    value = where(negative & odd, -value, value)
    value = where((x < 0.0) & (whole == 0) & (infinite == 0), root(-1.0 - size), value)
    value = where(x != x, x, value)
    value = where(y != y, y, value)
    return where((y == 0.0) | (x == 1.0), 1.0, value)
