"""Operators as float32 functions: periodic functions, error functions, Bessel functions.

Each is one source for two languages: `kernel_languages` makes Triton and C++ of it. So the files
keep to what both can say: float32 values, assignments, arithmetic, comparisons, calls of functions
defined above, and the intrinsics of `kernel_intrinsics`. There are no branches, whose both sides a
vector unit computes anyhow, and no library functions, which differ between devices. Accuracy is
stated in units in the last place; results below the normal numbers may be 0. Coefficients are
Chebyshev fits made with mpmath.
"""

from __future__ import annotations

from .kernel_functions import exp_negative, gaussian, with_sign
from .kernel_intrinsics import Value, floor, fma, magnitude, root, to_int, where


def quadrants(x: Value) -> Value:
    """How many right angles x is away from 0, rounded; |x| is taken as at most 4e6.

    Beyond, neighbouring float32 numbers are half a radian apart.
    """
    bounded = where(x > 4e6, 4e6, where(x < -4e6, -4e6, x))
    return floor(fma(bounded, 0.636619772, 0.5))


def remainder(x: Value, n: Value) -> Value:
    """x - n pi/2 to 72 bits of pi, for the n of `quadrants`; NaN for infinite x."""
    bounded = where(x > 4e6, 4e6, where(x < -4e6, -4e6, x))
    r = fma(n, -1.57079637, bounded + (x - x))
    r = fma(n, 4.37113883e-08, r)
    return fma(n, 1.71512451e-15, r)


def sine_of_remainder(r: Value) -> Value:
    """sin(r) for |r| <= pi/4, to 3e-11 r^3."""
    s = r * r
    p = fma(s, 2.72375772e-06, -0.000198399896)
    p = fma(p, s, 0.00833333169)
    p = fma(p, s, -0.166666667)
    return fma(s * r, p, r)


def cosine_of_remainder(r: Value) -> Value:
    """cos(r) for |r| <= pi/4, to 3e-12 r^4."""
    s = r * r
    p = fma(s, -2.72906524e-07, 2.48005193e-05)
    p = fma(p, s, -0.00138888875)
    p = fma(p, s, 0.0416666667)
    return fma(s * s, p, fma(s, -0.5, 1.0))


def sin(x: Value) -> Value:
    """Within 2 units for |x| <= 4e6; sin(4e6) beyond."""
    n = quadrants(x)
    r = remainder(x, n)
    quarter = to_int(n) & 3
    value = where((quarter & 1) == 1, cosine_of_remainder(r), sine_of_remainder(r))
    return where((quarter & 2) == 2, -value, value)


def cos(x: Value) -> Value:
    """Within 2 units for |x| <= 4e6; cos(4e6) beyond."""
    n = quadrants(x)
    r = remainder(x, n)
    quarter = (to_int(n) + 1) & 3
    value = where((quarter & 1) == 1, cosine_of_remainder(r), sine_of_remainder(r))
    return where((quarter & 2) == 2, -value, value)


def sinc(x: Value) -> Value:
    safe = where(x == 0.0, 1.0, x)
    return where(x == 0.0, 1.0, sin(safe) / safe)


def sinc_slope(x: Value) -> Value:
    """Derivative of sin(x) / x: its power series for |x| < 1, where the quotient cancels."""
    near = magnitude(x) < 1.0
    small = where(near, x, 0.0)
    s = small * small
    p = fma(s, 1.92708526e-09, -2.50521084e-07)
    p = fma(p, s, 2.20458554e-05)
    p = fma(p, s, -0.00119047619)
    p = fma(p, s, 0.0333333333)
    p = fma(p, s, -0.333333333)
    large = where(near, 1.0, x)
    return where(near, p * small, (cos(large) - sin(large) / large) / large)


def atan(x: Value) -> Value:
    """Within 2 units: polynomial to 3e-9 on [0, 1], of 1/x beyond."""
    size = magnitude(x)
    far = size > 1.0
    t = where(far, 1.0 / where(far, size, 1.0), size)
    s = t * t
    p = fma(s, 0.00148869194, -0.00914462976)
    p = fma(p, s, 0.0263050011)
    p = fma(p, s, -0.048960514)
    p = fma(p, s, 0.0703191425)
    p = fma(p, s, -0.0893182678)
    p = fma(p, s, 0.110882616)
    p = fma(p, s, -0.142840038)
    p = fma(p, s, 0.199999493)
    p = fma(p, s, -0.333333331)
    p = fma(t * s, p, t)
    return with_sign(where(far, 1.57079637 - p, p), x)


def erf(x: Value) -> Value:
    """Within 1 unit: polynomial to 2e-9 below 1, then 1 - exp of a polynomial."""
    size = magnitude(x)
    a = where(size > 4.0, 4.0, size)
    s = a * a
    p = fma(s, 7.87587506e-05, -0.000801686429)
    p = fma(p, s, 0.00518908742)
    p = fma(p, s, -0.026854212)
    p = fma(p, s, 0.112835947)
    p = fma(p, s, -0.376126267)
    p = fma(p, s, 1.12837917)
    near = p * a
    a = where(a < 1.0, 1.0, a)
    p = fma(a, 4.45157451e-08, -1.05153779e-06)
    p = fma(p, a, 9.27820547e-06)
    p = fma(p, a, -1.94383834e-05)
    p = fma(p, a, -0.000345453293)
    p = fma(p, a, 0.00411536617)
    p = fma(p, a, -0.0253045562)
    p = fma(p, a, 0.10878755)
    p = fma(p, a, 0.632783113)
    p = fma(p, a, 1.12982364)
    p = fma(p, a, -0.000242977478)
    return with_sign(where(size < 1.0, near, 1.0 - exp_negative(-p)), x)


def scaled_erfc(a: Value) -> Value:
    """exp(a^2) erfc(a) for 0 <= a <= 10.2, to 6e-9 and 2 units; no coefficient is negative."""
    p = fma(a, 0.0329262065, 0.229837776)
    p = fma(p, a, 0.732903563)
    p = fma(p, a, 1.23965188)
    p = fma(p, a, 1.00000001)
    q = fma(a, 0.0583595038, 0.40740265)
    q = fma(q, a, 1.32779399)
    q = fma(q, a, 2.4049316)
    q = fma(q, a, 2.36803164)
    q = fma(q, a, 1.0)
    return p / q


def erfc(x: Value) -> Value:
    """Within 4 units, down to the smallest normal number."""
    size = magnitude(x)
    a = where(size > 10.2, 10.2, size)
    tail = gaussian(a) * scaled_erfc(a)
    return where(x < 0.0, 2.0 - tail, tail)


def normal_cdf(x: Value) -> Value:
    """Within 4 units; exp(-x^2/2) is corrected for the rounding of x^2."""
    size = magnitude(x)
    bounded = where(size > 14.4, 14.4, size)
    high = bounded * bounded
    low = fma(bounded, bounded, -high)
    whole = exp_negative(-0.5 * high)
    tail = 0.5 * fma(-0.5 * low, whole, whole) * scaled_erfc(bounded * 0.707106781)
    return where(x > 0.0, 1.0 - tail, tail)


def bessel_i0e(x: Value) -> Value:
    """Within 4 units: e^-a times a power series to a = 8, then a polynomial in 8/a."""
    size = magnitude(x)
    a = where(size > 8.0, 8.0, size)
    s = a * a * 0.015625
    near = fma(s, 0.156277702, 0.35929312)
    near = fma(near, s, 2.83332289)
    near = fma(near, s, 10.4337441)
    near = fma(near, s, 32.4212954)
    near = fma(near, s, 72.8024035)
    near = fma(near, s, 113.780203)
    near = fma(near, s, 113.777568)
    near = fma(near, s, 64.0000087)
    near = fma(near, s, 15.9999999)
    near = fma(near, s, 1.0)
    large = where(size > 8.0, size, 8.0)
    u = 8.0 / large
    far = fma(u, 1.13523843e-05, -2.15632333e-06)
    far = fma(far, u, 6.49089319e-05)
    far = fma(far, u, 0.000436305221)
    far = fma(far, u, 0.0062336499)
    far = fma(far, u, 0.398942278)
    return where(size > 8.0, far / root(large), near * exp_negative(-a))


def bessel_i1e(x: Value) -> Value:
    """Within 4 units, as bessel_i0e."""
    size = magnitude(x)
    a = where(size > 8.0, 8.0, size)
    s = a * a * 0.015625
    near = fma(s, 0.00687487804, 0.0189882764)
    near = fma(near, s, 0.155483235)
    near = fma(near, s, 0.654082437)
    near = fma(near, s, 2.31460236)
    near = fma(near, s, 6.06731432)
    near = fma(near, s, 11.3779208)
    near = fma(near, s, 14.2222085)
    near = fma(near, s, 10.6666673)
    near = fma(near, s, 3.99999999)
    near = fma(near, s, 0.5)
    large = where(size > 8.0, size, 8.0)
    u = 8.0 / large
    far = fma(u, -1.31869235e-05, 8.13112425e-07)
    far = fma(far, u, -8.87811186e-05)
    far = fma(far, u, -0.00072823741)
    far = fma(far, u, -0.0187006194)
    far = fma(far, u, 0.398942283)
    return with_sign(where(size > 8.0, far / root(large), near * a * exp_negative(-a)), x)


def bessel_i0e_slope(x: Value) -> Value:
    """To 1e-7 of its largest value up to |x| = 8, then within 8 units; 0 at 0, between -1 and 1."""
    size = magnitude(x)
    a = where(size > 8.0, 8.0, size)
    t = fma(a, 0.25, -1.0)
    near = fma(t, -0.00156882787, 0.00378248992)
    near = fma(near, t, -0.00166645869)
    near = fma(near, t, 0.00222650558)
    near = fma(near, t, -0.014537106)
    near = fma(near, t, 0.0269733048)
    near = fma(near, t, -0.0347390809)
    near = fma(near, t, 0.0511418669)
    near = fma(near, t, -0.075847554)
    near = fma(near, t, 0.0977738461)
    near = fma(near, t, -0.113474764)
    near = fma(near, t, 0.121489069)
    near = fma(near, t, -0.118920623)
    near = fma(near, t, 0.106224658)
    near = fma(near, t, -0.0873431231)
    near = fma(near, t, 0.0667818115)
    near = fma(near, t, -0.0472578161)
    near = fma(near, t, 0.0282510865)
    large = where(size > 8.0, size, 8.0)
    u = 8.0 / large
    far = fma(u, 8.63400172e-05, -6.27055895e-05)
    far = fma(far, u, 0.000267642072)
    far = fma(far, u, 0.00107842537)
    far = fma(far, u, 0.00935175395)
    far = fma(far, u, 0.199471119)
    value = where(size > 8.0, far / (large * root(large)), near)
    return where(x > 0.0, -value, where(x == 0.0, 0.0, value))


def bessel_i1e_slope(x: Value) -> Value:
    """To 1e-7 up to |x| = 8, then within 8 units."""
    size = magnitude(x)
    a = where(size > 8.0, 8.0, size)
    t = fma(a, 0.25, -1.0)
    near = fma(t, -0.00144951205, 0.00347546028)
    near = fma(near, t, -0.00144530492)
    near = fma(near, t, 0.00181352774)
    near = fma(near, t, -0.0128708694)
    near = fma(near, t, 0.023614375)
    near = fma(near, t, -0.0292816823)
    near = fma(near, t, 0.0417723641)
    near = fma(near, t, -0.0602490639)
    near = fma(near, t, 0.0740121869)
    near = fma(near, t, -0.0798087532)
    near = fma(near, t, 0.0768293829)
    near = fma(near, t, -0.0636400592)
    near = fma(near, t, 0.0424557937)
    near = fma(near, t, -0.0188605366)
    near = fma(near, t, -0.00127573345)
    near = fma(near, t, 0.0138665221)
    near = fma(near, t, -0.0164366237)
    large = where(size > 8.0, size, 8.0)
    u = 8.0 / large
    far = fma(u, 9.95269407e-05, -6.3518702e-05)
    far = fma(far, u, 0.000356423191)
    far = fma(far, u, 0.00180666278)
    far = fma(far, u, 0.0280523733)
    far = fma(far, u, -0.199471165)
    return where(size > 8.0, far / (large * root(large)), near)
