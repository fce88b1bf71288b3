"""Known functions of a whole tensor against torch, the papers' formulas and brute force."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import norm
from torch import Tensor
from torch.nn import functional

import actsearch
from actsearch.evaluators.screens import static_screen
from actsearch.evaluators.verdict import Reason, StaticLimits
from actsearch.primitives import Activation, Layer, module_of, read_formula
from actsearch.primitives.analysis import initial_gain
from actsearch.primitives.zoo import known_activations, known_tensor_functions

CHANNELS = 16
# A shape, and its channel axis.
SHAPES = [
    ((6, CHANNELS), 1),
    ((4, CHANNELS, 5), 1),
    ((3, CHANNELS, 4, 3), 1),
    ((3, 5, CHANNELS), -1),
]
KNOWN = known_tensor_functions()


def layer(name: str, dim: int = 1, channels: int = CHANNELS) -> Layer | Activation:
    return actsearch.activation(name, channels, dim).double()


def softmax_of(power: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: power(x) / power(x).sum(-1, keepdim=True)


def kept(share: float) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        top = x.topk(round(share * x.shape[-1])).indices
        return x * torch.zeros_like(x).scatter(-1, top, 1)

    return function


def kept_of_all(share: float) -> Callable[[Tensor], Tensor]:
    return lambda x: kept(share)(x.flatten()).reshape(x.shape)


def cats(x: Tensor) -> Tensor:
    value = functional.silu(x)
    return value * (value.abs() >= value.abs().flatten().quantile(0.5))


def gaussian_top_k(x: Tensor) -> Tensor:
    # transformers, Gemma3nTextMLP._gaussian_topk, with 1e-5 beside the variance.
    deviation = (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
    cutoff = x.mean(-1, keepdim=True) + deviation * float(norm.ppf(0.95))
    return functional.gelu(functional.relu(x - cutoff))


def gdn(x: Tensor) -> Tensor:
    # b = 1, g = 0.1 on the diagonal.
    return x / torch.sqrt(1 + 0.1 * x**2)


def focused(x: Tensor) -> Tensor:
    r = functional.relu(x)
    scale = r.norm(dim=-1, keepdim=True) / (r**3).norm(dim=-1, keepdim=True)
    return scale * r**3


def polynorm(x: Tensor) -> Tensor:
    def normed(y: Tensor) -> Tensor:
        return y / ((y**2).mean(-1, keepdim=True) + 1e-5).sqrt()

    return (normed(x) + normed(x**2) + normed(x**3)) / 3


def mono_triple(x: Tensor) -> Tensor:
    # 7, 7 and 2 of 16; rho~ of arXiv:2205.11775 for ELU, for which rho(1) = 1.
    rho = functional.elu
    bounded = torch.where(x < 0, rho(x + 1) - 1, 1 - rho(1 - x))
    return torch.cat([rho(x[..., :7]), -rho(-x[..., 7:14]), bounded[..., 14:]], -1)


def maxmin(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, 2)).sort(-1, descending=True).values.flatten(-2)


REFERENCES: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda x: x.softmax(-1),
    "softmax(temperature=0.5)": lambda x: (2 * x).softmax(-1),
    "log_softmax": lambda x: x.log_softmax(-1),
    "log_softmax(temperature=2)": lambda x: (x / 2).log_softmax(-1),
    "softmin": lambda x: functional.softmin(x, -1),
    "softmin(temperature=3)": lambda x: functional.softmin(x / 3, -1),
    "softplus_l1": softmax_of(functional.softplus),
    "taylor_softmax": softmax_of(lambda x: 1 + x + x**2 / 2),
    "sqmax": softmax_of(torch.square),
    "sqmax(c=1)": softmax_of(lambda x: (x + 1) ** 2),
    "top_k": kept(3 / CHANNELS),
    "top_k(share=0.5)": kept(0.5),
    "batch_top_k": kept_of_all(0.2),
    "batch_top_k(share=0.5)": kept_of_all(0.5),
    "gaussian_top_k": gaussian_top_k,
    "cats": cats,
    "gdn": gdn,
    "igdn": lambda x: x * torch.sqrt(1 + 0.1 * x**2),
    "funnel_relu": functional.relu,
    "tmaf_tridiagonal": functional.relu,
    "channel_idle": lambda x: torch.cat([functional.gelu(x[..., :4]), x[..., 4:]], -1),
    "channel_idle(idle=0.5)": lambda x: torch.cat([functional.gelu(x[..., :8]), x[..., 8:]], -1),
    "mono_triple": mono_triple,
    "focused_map": focused,
    "polynorm": polynorm,
    "maxmin": maxmin,
}
ELSEWHERE = {"sparsemax", "entmax", "matrix_exponential", "frn_tlu"}


def test_every_row_has_a_reference() -> None:
    rows = {name for name, row in KNOWN.items() if row.section != "stochastic"}
    assert {name.partition("(")[0] for name in REFERENCES} | ELSEWHERE == rows


@pytest.mark.parametrize(("shape", "dim"), SHAPES, ids=str)
@pytest.mark.parametrize("name", REFERENCES)
def test_value_and_gradient_are_those_of_the_formula(
    name: str, shape: tuple[int, ...], dim: int
) -> None:
    x = (2 * torch.randn(shape, dtype=torch.float64)).requires_grad_()
    weights = torch.randn(shape, dtype=torch.float64)
    value = layer(name, dim)(x)
    wanted = REFERENCES[name](x.movedim(dim, -1)).movedim(-1, dim)
    # Initial values of what is trained are rounded to float32.
    digits = 1e-7 if list(layer(name).parameters()) else 1e-10
    torch.testing.assert_close(value, wanted, rtol=digits, atol=digits)
    (slope,) = torch.autograd.grad((value * weights).sum(), x)
    (wanted_slope,) = torch.autograd.grad((wanted * weights).sum(), x)
    torch.testing.assert_close(slope, wanted_slope, rtol=10 * digits, atol=10 * digits)


def projected(token: list[float], power: float) -> list[float]:
    """The maximum of <p, x> + entropy of p over the simplex: Tsallis' with alpha = `power`."""

    def loss(p: Tensor) -> float:
        pairs = zip(p, token, strict=True)
        entropy = math.fsum(q - q**power for q in p) / (power * (power - 1))
        return -math.fsum(q * x for q, x in pairs) - entropy

    count = len(token)
    found = minimize(
        loss,
        [1 / count] * count,
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    values: list[float] = found.x.tolist()
    return values


@pytest.mark.parametrize(("name", "alpha"), [("sparsemax", 2.0), ("entmax", 1.5)])
def test_projections_solve_their_optimisation(name: str, alpha: float) -> None:
    x = torch.randn(12, 5, dtype=torch.float64)
    for token, value in zip(x, layer(name, channels=5)(x), strict=True):
        assert value.tolist() == pytest.approx(projected(token.tolist(), alpha), abs=2e-4)


@pytest.mark.parametrize(
    "name", ["softmax", "softmin", "sparsemax", "entmax", "softplus_l1", "taylor_softmax", "sqmax"]
)
def test_values_are_on_the_simplex_at_every_scale(name: str) -> None:
    made = actsearch.activation(name, CHANNELS)
    for scale in (1e-2, 1.0, 30.0, 1e4):
        x = scale * torch.randn(50, CHANNELS)
        value = made(x)
        assert (value >= 0).all() and value.isfinite().all()
        # Entries of 1e4 are known to 1e-3, and so is what a threshold leaves of them.
        torch.testing.assert_close(
            value.sum(1), torch.ones(50), rtol=0, atol=5e-3 if scale == 1e4 else 1e-4
        )


def test_gdn_is_the_published_normalisation_away_from_its_start() -> None:
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    for name, power in (("gdn", -0.5), ("igdn", 0.5)):
        made = layer(name, channels=3)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.copy_(torch.rand_like(parameter) + 0.1)
            g, b = made.channel_mix.weight(), made.channel_mix.bias()
            value = made(x)
        for i in range(3):
            total = b[i] + sum(g[i, j] * x[:, j] ** 2 for j in range(3))
            torch.testing.assert_close(value[:, i], x[:, i] * total**power)


def test_funnel_relu_takes_the_larger_of_an_entry_and_its_surroundings() -> None:
    made = layer("funnel_relu")
    torch.nn.init.normal_(made.depthwise.weight)
    x = torch.randn(3, CHANNELS, 4, 5, dtype=torch.float64)
    wanted = functional.conv2d(x, made.depthwise.weight, padding=1, groups=CHANNELS)
    torch.testing.assert_close(made(x), torch.maximum(x, wanted))


def test_the_trained_matrix_is_a_matrix_of_three_diagonals() -> None:
    made = layer("tmaf_tridiagonal(s=0.3)", channels=5)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(5))
    t = {name: parameter.tolist() for name, parameter in made.named_parameters()}
    x = torch.randn(4, 5, dtype=torch.float64)
    for token, value in zip(x, made(x), strict=True):
        matrix = torch.zeros(5, 5, dtype=torch.float64)
        for i in range(5):
            for letter, j in (("t", i), ("b", i - 1), ("a", i + 1)):
                if 0 <= j < 5:
                    matrix[i, j] = t[f"{letter}{int(token[j] > 0.3)}"][i]
        torch.testing.assert_close(value, matrix @ token)


def test_the_diagonal_matrix_starts_as_relu_and_has_two_levels() -> None:
    x = torch.randn(4, CHANNELS, 3, dtype=torch.float64)
    made = layer("tmaf_diagonal")
    torch.testing.assert_close(made(x), x.relu())
    with torch.no_grad():
        made.t0.fill_(-2)
        made.t1.fill_(3)
    torch.testing.assert_close(made(x), torch.where(x > 0, 3 * x, -2 * x))
    torch.testing.assert_close(layer("tmaf_diagonal(s=1)")(x), torch.where(x > 1, x, 0))
    torch.testing.assert_close(layer("tlu")(x), x.relu())


def test_matrix_exponential_is_that_of_torch() -> None:
    x = torch.randn(2, CHANNELS, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(layer("matrix_exponential")(x), torch.linalg.matrix_exp(x))


@pytest.mark.parametrize(("shape", "dim"), SHAPES, ids=str)
def test_filter_response_normalisation(shape: tuple[int, ...], dim: int) -> None:
    made = layer("frn_tlu", dim)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(CHANNELS))
    x = torch.randn(shape, dtype=torch.float64)
    points = x.movedim(dim, 1)
    axes = tuple(range(2, points.ndim))
    power = points.square().mean(axes, keepdim=True) if axes else points.square()
    gamma, beta, tau = (p.reshape(-1, *[1] * len(axes)) for p in (made.gamma, made.beta, made.tau))
    wanted = torch.maximum(gamma * points / (power + 1e-5).sqrt() + beta, tau)
    torch.testing.assert_close(made(x), wanted.movedim(1, dim))


def test_batch_cutoffs_are_calibrated_in_training_and_kept_in_evaluation() -> None:
    made, x = layer("cats(share=0.7)"), torch.randn(64, CHANNELS, 25, dtype=torch.float64)
    assert float((made(x) == 0).double().mean()) == pytest.approx(0.7, abs=1e-4)
    made.eval()
    alone = made(x[:1])
    assert float((made(x) == 0).double().mean()) == pytest.approx(0.7, abs=1e-4)
    torch.testing.assert_close(alone, made(x)[:1])


def test_defaults_that_are_spelled_shorter_are_the_same_functions() -> None:
    x = torch.randn(5, CHANNELS, 4, dtype=torch.float64)
    shorter = [
        row
        for row in {**KNOWN, **known_activations()}.values()
        if row.section in ("vector", "stochastic") and row.function.shorter is not None
    ]
    assert len(shorter) > 5
    for row in shorter:
        call = ", ".join(f"{name}={value!r}" for name, value in row.parameters.items())
        longer = [f"{name}={value + 1e-13!r}" for name, value in row.parameters.items()]
        assert read_formula(f"{row.name}({call})") == row.expr
        found = []
        for text in (row.name, f"{row.name}({', '.join(longer)})"):
            torch.manual_seed(0)
            found.append(layer(text)(x))
        torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", KNOWN)
def test_every_name_reads_calls_and_has_a_gain(name: str) -> None:
    row = KNOWN[name]
    for alias in (name, *row.aliases):
        assert read_formula(alias) == row.expr
    called = module_of(read_formula(f"0.5*{name}(2*x)"), CHANNELS).double().eval()
    x = torch.randn(3, CHANNELS, CHANNELS, dtype=torch.float64)
    torch.testing.assert_close(called(x), layer(name).eval()(2 * x) / 2)
    gain = initial_gain(row.expr, 4)
    assert 0.1 < gain < 100
    initial_gain.cache_clear()
    assert initial_gain(row.expr, 4) == gain


@pytest.mark.parametrize("name", KNOWN)
def test_the_static_screen_takes_all_that_stay_finite(name: str) -> None:
    verdict = static_screen(KNOWN[name].expr, StaticLimits())
    if name == "matrix_exponential":
        assert verdict.reason is Reason.NOT_FINITE and "scale 10000" in verdict.figure
    else:
        assert verdict.accepted, verdict
    verdict = static_screen(KNOWN[name].expr, StaticLimits(batch_statistics=False))
    assert (verdict.reason is Reason.BATCH) == (name in ("cats", "batch_top_k"))


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_half_precision_is_that_of_float32(name: str, dtype: torch.dtype) -> None:
    x = torch.randn(3, CHANNELS, CHANNELS).to(dtype)
    found = []
    for read in (x, x.float()):
        torch.manual_seed(1)
        found.append(actsearch.activation(name, CHANNELS)(read))
    assert found[0].dtype is dtype and found[0].isfinite().all()
    assert torch.equal(found[0], found[1].to(dtype))
