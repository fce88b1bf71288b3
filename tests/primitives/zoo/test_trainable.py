"""Functions with trainable parameters against the reference, at their start and elsewhere."""

from __future__ import annotations

import mpmath as mp
import pytest
import torch
from agreement import assert_agrees
from reference import arctan_gate, clip, erf, logistic, normal_cdf, number, softplus
from torch.nn import functional

from actsearch.primitives import evaluate, known_activations, read_formula, value_and_slopes
from actsearch.primitives.lowering.eager import value_and_gradients


def expanded(gate, a):
    return lambda x: x * ((1 + 2 * mp.mpf(a)) * gate(x) - a)


def apa(lam, kap):
    return lambda x: (1 + mp.mpf(lam) * mp.exp(-kap * x)) ** (-1 / mp.mpf(lam))


def s_shaped(tl, al, tr, ar):
    return lambda x: tr + ar * (x - tr) if x >= tr else tl + al * (x - tl) if x <= tl else x


def interpolated(knots, heights, left, right):
    """Linear between the knots, and beyond with these slopes."""

    def value(x):
        if x <= knots[0]:
            return heights[0] + left * (x - knots[0])
        if x >= knots[-1]:
            return heights[-1] + right * (x - knots[-1])
        k = max(i for i, knot in enumerate(knots) if knot <= x)
        share = (x - knots[k]) / mp.mpf(knots[k + 1] - knots[k])
        return heights[k] * (1 - share) + heights[k + 1] * share

    return value


def mexican(slope, heights):
    hats = zip(heights, (2, 1, 3), (2, 1, 1), strict=True)
    found = [(mp.mpf(a), b, c) for a, b, c in hats]
    return lambda x: (
        (x if x > 0 else slope * x) + sum(a * max(c - abs(x - b), 0) for a, b, c in found)
    )


def pade(above, below, version):
    """P/Q with Q = A: 1 + sum |b_j x^j|, B: 1 + |sum b_j x^j|, C: 0.1 + |sum from 0|, N: no |.|."""

    def value(x):
        numerator = sum(number(a) * x**i for i, a in enumerate(above))
        terms = [number(b) * x ** (j + (version != "C")) for j, b in enumerate(below)]
        denominators = {
            "A": 1 + sum(map(abs, terms)),
            "B": 1 + abs(sum(terms)),
            "C": number("0.1") + abs(sum(terms)),
            "N": 1 + sum(terms),
        }
        return numerator / denominators[version]

    return value


def soft_exponential(a):
    a = mp.mpf(a)
    if a > 0:
        return lambda x: (mp.exp(a * x) - 1) / a + a
    # Held where the logarithm ends.
    return lambda x: -mp.log(max(1 - a * (x + a), 1 - number("0.9999999"))) / a


def soft_quadratic(a, b):
    def value(x):
        if x >= (1 - b) / a:
            return x
        return mp.mpf(0) if x < -b / a else a * x**2 + b * x

    return value


def mollified(x):
    return mp.sqrt(x**2 + number("1e-6"))


def mittag_leffler(a, b, z):
    """The series, which for a > 0 converges everywhere."""
    return mp.nsum(lambda k: z**k / mp.gamma(a * k + b), [0, mp.inf])


PADE_A = (
    (0.029806, 0.618397, 2.321771, 3.047593, 1.482141, 0.25027),
    (1.141309, 4.386792, 0.8696, 0.346145),
)
PADE_B = (
    (0.033578, 0.505009, 1.652268, 2.007034, 0.929785, 0.151955),
    (0, 3.974205, 0, 0.300891),
)

TRUTHS = {
    "prelu": lambda x: x if x > 0 else x / 4,
    "prelu(a=0.5)": lambda x: x if x > 0 else x / 2,
    "snake": lambda x: x + mp.sin(x) ** 2,
    "snake(a=5)": lambda x: x + mp.sin(5 * x) ** 2 / 5,
    "swish": lambda x: x * logistic(x),
    "swish(b=2)": lambda x: x * logistic(2 * x),
    "swish_beta": lambda x: x * logistic(x),
    "swish_beta(beta=-0.5)": lambda x: x * logistic(-x / 2),
    "e_swish": lambda x: number("1.25") * x * logistic(x),
    "aptx": lambda x: (1 + mp.tanh(x)) * x / 2,
    "aptx(alpha=2, beta=0.5, gamma=3)": lambda x: (2 + mp.tanh(x / 2)) * 3 * x,
    "xatlu": expanded(arctan_gate, 0),
    "xatlu(a=0.25)": expanded(arctan_gate, 0.25),
    "xgelu(a=0.25)": expanded(normal_cdf, 0.25),
    "xsilu": expanded(logistic, 0),
    "xsilu(a=0.25)": expanded(logistic, 0.25),
    "apa": apa(0.5, 0.5),
    "apa(lam=1, kap=3)": lambda x: logistic(3 * x),
    "aglu": lambda x: x * apa(0.5, 0.5)(x),
    "aglu(lam=2, kap=1.5)": lambda x: x * apa(2, mp.mpf("1.5"))(x),
    "snake_beta": lambda x: x + mp.sin(x) ** 2,
    "snake_beta(a=0.5, b=-1)": lambda x: x + mp.sin(mp.exp(0.5) * x) ** 2 / mp.exp(-1),
    "acon_c": lambda x: x * logistic(x),
    "acon_c(p1=1.5, p2=0.25, b=2)": lambda x: 1.25 * x * logistic(2.5 * x) + 0.25 * x,
    "srelu": s_shaped(0, 0, 1, 1),
    "srelu(tl=-1, al=0.5, tr=2, ar=0.25)": s_shaped(-1, 0.5, 2, 0.25),
    "apl": lambda x: max(x, 0),
    "apl(a1=0.5, b1=-1, a2=-0.25, b2=2)": lambda x: (
        max(x, 0) + 0.5 * max(-1 - x, 0) - 0.25 * max(2 - x, 0)
    ),
    "pwlu": lambda x: max(x, 0),
    "pwlu(left=0.5, right=2, y1=1, y2=-1, y3=0.5, y4=0.25, y5=3, y6=-2, y7=1)": interpolated(
        range(-3, 4), (1, -1, 0.5, 0.25, 3, -2, 1), 0.5, 2
    ),
    "melu": mexican(0.25, (0, 0, 0)),
    "melu(a0=0.5, a1=1, a2=-0.5, a3=0.25)": mexican(0.5, (1, -0.5, 0.25)),
    "pact": lambda x: clip(x, 0, 6),
    "pact(a=2)": lambda x: clip(x, 0, 2),
    "flexible_relu": lambda x: max(x, 0) - 1,
    "pau": pade(*PADE_A, "A"),
    "pau_b": pade(*PADE_B, "B"),
    "pau_c": pade(PADE_B[0], (0.9, *PADE_B[1]), "C"),
    "pau_c(b0=0.5, b1=1)": pade(PADE_B[0], (0.5, 1, *PADE_B[1][1:]), "C"),
    "pau_n": pade(*PADE_B, "N"),
    "pau_n(b1=1)": pade(PADE_B[0], (1, *PADE_B[1][1:]), "N"),
    "soft_exponential(a=0.5)": soft_exponential(0.5),
    "soft_exponential(a=-0.5)": soft_exponential(-0.5),
    "srs": lambda x: x / (x / 5 + mp.exp(-x / 3)),
    "srs(a=3, b=2)": lambda x: x / (x / 3 + mp.exp(-x / 2)),
    "sinlu": lambda x: (x + mp.sin(x)) * logistic(x),
    "sinlu(a=0.5, b=2)": lambda x: (x + mp.sin(2 * x) / 2) * logistic(x),
    "coslu": lambda x: (x + mp.cos(x)) * logistic(x),
    "coslu(a=0.5, b=2)": lambda x: (x + mp.cos(2 * x) / 2) * logistic(x),
    "tanhsoft_1": lambda x: mp.tanh(number("0.87") * x) * softplus(x),
    "tanhsoft_2": lambda x: x * mp.tanh(number("0.6") * mp.exp(x)),
    "tanhsoft_3": lambda x: mp.log(1 + mp.exp(x) * mp.tanh(number("0.85") * x)),
    "erfact": lambda x: x * erf(mp.exp(3 * x / 4) * 3 / 4),
    "pserf": lambda x: x * erf(softplus(number("0.85") * x) * 5 / 4),
    "smu": lambda x: (1.25 * x + 0.75 * x * erf(0.75 * x)) / 2,
    "eis_1": lambda x: x * softplus(x) / (x + number("1.16") * mp.exp(-x)),
    "eis_2": lambda x: x * softplus(x) / mp.sqrt(1 + x**2),
    "eis": lambda x: x * softplus(x) / mp.sqrt(1 + x**2),
    "eis(a=2, b=0.5, g=3, d=1.5, t=0.25)": lambda x: (
        x * softplus(x) ** 2 / (mp.sqrt(0.5 + 3 * x**2) + 1.5 * mp.exp(-x / 4))
    ),
    "psgu": lambda x: x * mp.tanh(3 * logistic(x)),
    "pats": lambda x: x * mp.atan(0.625 * mp.pi * logistic(x)),
    "aqulu": soft_quadratic(0.25, 0.5),
    "aqulu(a=0.5, b=1)": lambda x: x / 2 * clip(x + 2, 0, 2),
    "pgelu(a=0.5)": lambda x: x * normal_cdf(2 * x),
    "uaf": lambda x: x,
    "uaf(a=2, b=0.5, c=0.25, d=-3, e=1)": lambda x: (
        softplus(2 * (x + 0.5) + x**2 / 4) - softplus(-3 * (x - 0.5)) + 1
    ),
    "reluplus": lambda x: (x + mollified(x)) / 2,
    "hardtanhplus": lambda x: (mollified(x + 1) - mollified(x - 1)) / 2,
    "adaptive_tanh": lambda x: mp.tanh(10 * number("0.1") * x),
    "adaptive_tanh(n=2)": lambda x: mp.tanh(2 * number("0.1") * x),
    "adaptive_sin": lambda x: mp.sin(10 * number("0.1") * x),
    "dyt": lambda x: mp.tanh(x / 2),
    "dyt(alpha=2, gamma=3, beta=-1)": lambda x: 3 * mp.tanh(2 * x) - 1,
    "rprelu": lambda x: x if x > 0 else x / 4,
    "rprelu(g=1, b=0.5, z=-2)": lambda x: x - 3 if x > 1 else (x - 1) / 2 - 2,
    "mittag_leffler_sigmoid": logistic,
    "mittag_leffler_silu": lambda x: x * logistic(x),
    "mittag_leffler_tanh": mp.tanh,
    "mittag_leffler_softsign": lambda x: x / (1 + abs(x)),
    "mittag_leffler_elu": lambda x: x if x > 0 else mp.exp(x) - 1,
}
KINKS = {
    "prelu(a=0.5)": [0.0],
    "srelu(tl=-1, al=0.5, tr=2, ar=0.25)": [-1.0, 2.0],
    "apl(a1=0.5, b1=-1, a2=-0.25, b2=2)": [-1.0, 0.0, 2.0],
    "pwlu(left=0.5, right=2, y1=1, y2=-1, y3=0.5, y4=0.25, y5=3, y6=-2, y7=1)": list(range(-3, 4)),
    "melu(a0=0.5, a1=1, a2=-0.5, a3=0.25)": [0.0, 1.0, 2.0, 3.0, 4.0],
    "pact(a=2)": [0.0, 2.0],
    "aqulu(a=0.5, b=1)": [-2.0, 0.0],
    "rprelu(g=1, b=0.5, z=-2)": [1.0],
    "soft_exponential(a=-0.5)": [-1.5],
}
# Where exp overflows float32.
BEYOND = {"soft_exponential(a=0.5)": 170.0, "eis(a=2, b=0.5, g=3, d=1.5, t=0.25)": 300.0}
ABSOLUTE = {
    # 1 + sin(2 a x) and the like have zeros that their terms do not have.
    "snake": 1e-15,
    "snake(a=5)": 1e-15,
    "snake_beta": 1e-15,
    "snake_beta(a=0.5, b=-1)": 1e-14,
    "sinlu": 1e-15,
    "sinlu(a=0.5, b=2)": 1e-15,
    "coslu": 1e-15,
    "coslu(a=0.5, b=2)": 1e-15,
    # A gate and x times its slope cancel far below 0.
    "xatlu": 1e-17,
    # Terms of size 1 that cancel near 0, or where the function has a zero.
    "xatlu(a=0.25)": 1e-15,
    "xgelu(a=0.25)": 1e-15,
    "xsilu(a=0.25)": 1e-15,
    "apl(a1=0.5, b1=-1, a2=-0.25, b2=2)": 1e-15,
    "pwlu(left=0.5, right=2, y1=1, y2=-1, y3=0.5, y4=0.25, y5=3, y6=-2, y7=1)": 1e-14,
    "pau": 1e-15,
    "pau_b": 1e-15,
    "pau_c": 1e-15,
    "pau_c(b0=0.5, b1=1)": 1e-15,
    "pau_n": 1e-15,
    "pau_n(b1=1)": 1e-15,
    "tanhsoft_3": 1e-15,
    # Two terms of the slope cancel where the function saturates.
    "srs": 1e-16,
    "srs(a=3, b=2)": 1e-16,
    "hardtanhplus": 1e-15,
    "uaf": 1e-15,
    "uaf(a=2, b=0.5, c=0.25, d=-3, e=1)": 1e-14,
}


@pytest.mark.parametrize("text", TRUTHS)
def test_agrees_with_the_reference(text):
    assert_agrees(
        text,
        TRUTHS[text],
        kinks=KINKS.get(text),
        absolute=ABSOLUTE.get(text, 0.0),
        beyond=BEYOND.get(text, 1e4),
    )


@pytest.mark.parametrize(
    "name", [r.name for r in known_activations().values() if r.section == "trainable"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_gradients_by_trainable_parameters_are_finite(name, dtype):
    sizes = torch.logspace(-30, 4, 200, dtype=torch.float64)
    x = torch.cat([-sizes, torch.zeros(1), sizes]).to(dtype).clamp(-1e4, 1e4)
    value, slopes = value_and_gradients(read_formula(name), {"x": x})
    assert all(slope.isfinite().all() for slope in (value, *slopes))


def test_every_row_has_a_truth():
    section = {r.name for r in known_activations().values() if r.section == "trainable"}
    assert section <= {text.partition("(")[0] for text in TRUTHS}


def test_prelu_agrees_with_torch_in_value_and_slope():
    x = torch.linspace(-5, 5, 100, dtype=torch.float64).requires_grad_()
    expected = functional.prelu(x, x.new_tensor(0.25))
    (expected_slope,) = torch.autograd.grad(expected.sum(), x)
    value, (slope,) = value_and_slopes(read_formula("prelu"), {"x": x.detach()})
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(slope, expected_slope)


@pytest.mark.parametrize(("name", "largest"), [("pau", 0.030), ("pau_b", 0.034)])
def test_pade_starts_near_leaky_relu(name, largest):
    x = torch.linspace(-3, 3, 6_001, dtype=torch.float64)
    value = evaluate(read_formula(name), {"x": x})
    assert float((value - functional.leaky_relu(x, 0.01)).abs().max()) < largest


def test_apa_is_the_gompertz_gate_where_lam_is_clamped():
    x = torch.linspace(-2, 6, 50, dtype=torch.float64)
    value = evaluate(read_formula("apa(lam=0, kap=1)"), {"x": x})
    torch.testing.assert_close(value, torch.exp(-torch.exp(-x)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_soft_exponential_starts_as_the_identity_and_can_leave_it(dtype):
    x = torch.linspace(-10, 10, 201, dtype=dtype)
    value, (by_x, by_a) = value_and_gradients(read_formula("soft_exponential"), {"x": x})
    torch.testing.assert_close(value, x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(by_x, torch.ones_like(x), rtol=0, atol=1e-5)
    # The derivative of (e^(a x) - 1)/a + a by a at 0, and of the other case.
    torch.testing.assert_close(by_a, 1 + x.square() / 2, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("z", [-2.5, -1.0, 0.5, 2.0])
def test_mittag_leffler_identities(z):
    """The series E_{a,b} against what stands for it in the rows."""
    with mp.workdps(30):
        x, two = mp.mpf(z), mp.mpf(2)
        exp, cosh, sinhc = (
            mittag_leffler(*of, at)
            for of, at in (((1, 1), -x), ((two, 1), x**2), ((two, two), x**2))
        )
        # E_{0,1}(z) = 1/(1 - z): its series diverges beyond 1.
        pairs = {
            "mittag_leffler_sigmoid": 1 / (1 + exp),
            "mittag_leffler_silu": x / (1 + exp),
            "mittag_leffler_tanh": x * sinhc / cosh,
            "mittag_leffler_softsign": x / (1 + abs(x)),
            "mittag_leffler_elu": x if x > 0 else x * mittag_leffler(1, 2, x),
        }
    for name, true in pairs.items():
        value = evaluate(read_formula(name), {"x": torch.tensor([z], dtype=torch.float64)})
        assert value.item() == pytest.approx(float(true), rel=1e-13)
