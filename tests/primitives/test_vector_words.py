"""Words of several entries against brute force, on every shape that a layer takes."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor, nn

from actsearch.errors import DerivativeError, ParseError
from actsearch.primitives import Layer, derivative, evaluate, module_of, parse, reads_batch
from actsearch.primitives.layer_words import LAYER_WORDS
from actsearch.primitives.moments import MOMENTS
from actsearch.primitives.tensor_words import TENSOR_WORDS, Takes

CHANNELS = 7
# A shape, and its channel axis.
SHAPES = [
    ((6, CHANNELS), 1),
    ((4, CHANNELS, 5), 1),
    ((3, CHANNELS, 4, 3), 1),
    ((3, 5, CHANNELS), -1),
]
on_every_shape = pytest.mark.parametrize(("shape", "dim"), SHAPES, ids=str)


def layer(formula: str, channels: int = CHANNELS, dim: int = 1) -> Layer:
    made = module_of(parse(formula), channels, dim)
    assert isinstance(made, Layer)
    return made.double()


def tokens(x: Tensor, dim: int) -> list[list[float]]:
    """The channels of each position of each example."""
    rows: list[list[float]] = x.movedim(dim, -1).reshape(-1, x.shape[dim]).tolist()
    return rows


def assert_by_token(formula: str, shape: tuple[int, ...], dim: int, wanted: object) -> None:
    """Each token of the layer's value is `wanted` of that of x; a number stands for all of them."""
    x = 2 * torch.randn(shape, dtype=torch.float64)
    found = tokens(layer(formula, dim=dim)(x).detach(), dim)
    for got, token in zip(found, tokens(x, dim), strict=True):
        true = wanted(token)  # type: ignore[operator]
        assert got == pytest.approx(true if isinstance(true, list) else [true] * len(token))


@on_every_shape
def test_extremes_and_sums(shape: tuple[int, ...], dim: int) -> None:
    assert_by_token("max_token(x) + 0*x", shape, dim, max)
    assert_by_token("sum_token(x) + 0*x", shape, dim, math.fsum)


@on_every_shape
@pytest.mark.parametrize(("share", "count"), [(0.0, 1), (0.1, 1), (0.3, 2), (0.5, 4), (0.9, 6)])
def test_a_cutoff_is_between_those_kept_and_the_rest(
    shape: tuple[int, ...], dim: int, share: float, count: int
) -> None:
    def cutoff(token: list[float]) -> float:
        ordered = sorted(token, reverse=True)
        return (ordered[count - 1] + ordered[count]) / 2

    assert_by_token(f"cutoff_token(x, {share}) + 0*x", shape, dim, cutoff)
    x = torch.randn(shape, dtype=torch.float64)
    kept = layer(f"greater(x, cutoff_token(x, {share}))", dim=dim)(x)
    assert (kept.sum(dim) == count).all()


def test_a_share_of_1_keeps_everything() -> None:
    x = torch.randn(4, CHANNELS, 5, dtype=torch.float64)
    for word in ("cutoff_token", "cutoff_batch"):
        assert layer(f"greater(x, {word}(x, 1))")(x).all()
    assert not layer("first_channels(0)*x")(x).any()
    assert torch.equal(layer("first_channels(1)*x")(x), x)


def test_a_cutoff_of_the_batch_keeps_a_share_of_all_its_entries() -> None:
    made = layer("greater(x, cutoff_batch(x, 0.25))")
    x = torch.randn(4, CHANNELS, 5, dtype=torch.float64)
    assert int(made(x).sum()) == 35
    middle = x.flatten().sort(descending=True).values[34:36].mean()
    torch.testing.assert_close(made.cutoff_batch.running.double(), middle)
    assert reads_batch(made.expr)


def test_in_evaluation_the_cutoff_of_the_batch_is_the_mean_of_those_seen() -> None:
    made = layer("cutoff_batch(x, 0.5) + 0*x")
    seen = [
        float(made(torch.randn(50, CHANNELS, dtype=torch.float64) + number).mean())
        for number in range(10)
    ]
    made.eval()
    x = torch.randn(1, CHANNELS, dtype=torch.float64)
    assert made(x).flatten().tolist() == pytest.approx([sum(seen) / 10] * CHANNELS, rel=1e-6)
    made.train()
    last = float(made(torch.randn(50, CHANNELS, dtype=torch.float64) + 100).mean())
    wanted = sum(seen) / 10 * 0.9 + last * 0.1
    assert float(made.eval()(x).mean()) == pytest.approx(wanted, rel=1e-6)


@on_every_shape
def test_neighbours_and_pairs(shape: tuple[int, ...], dim: int) -> None:
    def sorted_pairs(token: list[float]) -> list[float]:
        found = []
        for first, second in zip(token[::2], token[1::2], strict=False):
            found += [max(first, second), min(first, second)]
        return [*found, *token[len(found) :]]

    assert_by_token("channel_before(x)", shape, dim, lambda token: [0.0, *token[:-1]])
    assert_by_token("channel_after(x)", shape, dim, lambda token: [*token[1:], 0.0])
    assert_by_token("sorted_pairs(x)", shape, dim, sorted_pairs)
    assert_by_token(
        "first_channels(0.4)*x", shape, dim, lambda token: [*token[:3], *[0.0] * (CHANNELS - 3)]
    )


@on_every_shape
@pytest.mark.parametrize(("word", "power"), [("sparsemax", 1), ("entmax", 2)])
def test_thresholds_are_the_roots_of_their_equations(
    word: str, power: int, shape: tuple[int, ...], dim: int
) -> None:
    def root(token: list[float]) -> float:
        def excess(t: float) -> float:
            return math.fsum(max(entry - t, 0) ** power for entry in token) - 1

        return float(brentq(excess, min(token) - 2, max(token), xtol=1e-14, rtol=1e-14))

    assert_by_token(f"{word}_threshold(x) + 0*x", shape, dim, root)


@pytest.mark.parametrize("word", ["sparsemax", "entmax"])
@pytest.mark.parametrize(
    "token",
    [
        [0.0] * CHANNELS,
        [1.0, 1.0, 0.0, 0.0, -1.0, -1.0, -2.0],
        [1e4, 1e4 - 0.25, 0.0, -1e4, 3.0, 1.0, 1e4 - 1],
        [-1e30, 1e30, 0.0, 1.0, 2.0, 3.0, 4.0],
    ],
)
def test_thresholds_of_ties_and_of_large_entries(word: str, token: list[float]) -> None:
    x = torch.tensor([token])
    threshold = module_of(parse(f"{word}_threshold(x) + 0*x"), CHANNELS)(x)
    power = 1 if word == "sparsemax" else 2
    largest = x.max().double()
    # Below the largest entry, whose size float32 rounds to.
    assert torch.all(threshold.double() <= largest)
    if largest < 1e6:
        total = float((x.double() - threshold.double()).clamp(min=0).pow(power).sum())
        assert total == pytest.approx(1, abs=4e-3 if largest > 1e3 else 1e-6)


def test_the_channel_mix_is_the_published_one() -> None:
    made = layer("channel_mix(x)", 3)
    x = torch.rand(2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(made(x), 1 + 0.1 * x, rtol=1e-6, atol=1e-6)
    mix = made.channel_mix
    with torch.no_grad():
        mix.weight_root.copy_(torch.tensor([[1.0, 2.0, 0.0], [-3.0, 0.5, 1.0], [0.0, 0.0, 2.0]]))
        mix.bias_root.copy_(torch.tensor([1.0, -5.0, 2.0]))
    weight = [[1.0, 4.0, 0.0], [0.0, 0.25, 1.0], [0.0, 0.0, 4.0]]
    bias, found = [1.0, 1e-6, 4.0], made(x).detach()
    for example in range(2):
        for position in range(4):
            for i in range(3):
                terms = (weight[i][j] * float(x[example, j, position]) for j in range(3))
                wanted = bias[i] + math.fsum(terms)
                assert float(found[example, i, position]) == pytest.approx(
                    wanted, rel=1e-9, abs=1e-10
                )


def test_a_weight_at_its_bound_moves_back_in_alone() -> None:
    made = layer("channel_mix(x)", 2)
    root = made.channel_mix.weight_root
    with torch.no_grad():
        root.fill_(-1.0)
    x = torch.ones(1, 2, dtype=torch.float64)
    (down,) = torch.autograd.grad(made(x).sum(), root)
    (up,) = torch.autograd.grad(-made(x).sum(), root)
    assert not down.any() and (up < 0).all()


@pytest.mark.parametrize("dimensions", [1, 2])
def test_depthwise_is_the_convolution_of_torch(dimensions: int) -> None:
    made = layer("depthwise(x)")
    x = torch.randn(3, CHANNELS, *[6, 5][:dimensions], dtype=torch.float64)
    assert not made(x).any()
    nn.init.normal_(made.depthwise.weight)
    kind = (nn.Conv1d, nn.Conv2d)[dimensions - 1]
    convolution = kind(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS, bias=False).double()
    weight = made.depthwise.weight
    with torch.no_grad():
        # One axis is an image of one row.
        convolution.weight.copy_(weight if dimensions == 2 else weight[:, :, 1])
    torch.testing.assert_close(made(x), convolution(x))


def test_depthwise_takes_tokens_and_single_numbers() -> None:
    made, last = layer("depthwise(x)"), layer("depthwise(x)", dim=-1)
    nn.init.normal_(made.depthwise.weight)
    last.load_state_dict(made.state_dict())
    x = torch.randn(3, CHANNELS, 5, dtype=torch.float64)
    torch.testing.assert_close(last(x.mT), made(x).mT)
    torch.testing.assert_close(made(x[..., 0]), made(x[..., :1])[..., 0])
    with pytest.raises(ValueError, match="at most two axes of positions"):
        made(torch.zeros(1, CHANNELS, 2, 2, 2, dtype=torch.float64))


def test_the_matrix_exponential_is_the_series() -> None:
    x = torch.randn(2, CHANNELS, 4, 4, dtype=torch.float64) / 2
    total = term = torch.eye(4, dtype=torch.float64).expand_as(x)
    for number in range(1, 40):
        term = term @ x / number
        total = total + term
    torch.testing.assert_close(layer("matrix_exp(x)")(x), total)
    with pytest.raises(ValueError, match=r"square matrix, got \(2, 7, 4\)"):
        layer("matrix_exp(x)")(x[:, :, 0])


FORMULAS = {
    **{f"{name}(x)": name for name in TENSOR_WORDS if TENSOR_WORDS[name].takes == (Takes.TENSOR,)},
    **{f"{name}(tanh(x), 0.4)": name for name in ("cutoff_token", "cutoff_batch")},
    "first_channels(0.5)*x": "first_channels",
    "uniform(x, 1)": "uniform",
    "normal(1, x)": "normal",
}


def test_every_word_is_tried_below() -> None:
    assert set(FORMULAS.values()) == set(TENSOR_WORDS)
    assert set(LAYER_WORDS) == {*MOMENTS, *TENSOR_WORDS}


def moved(formula: str) -> Layer:
    made = layer(formula)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.3 * torch.rand_like(parameter)
    return made


@pytest.mark.parametrize("formula", FORMULAS)
def test_first_and_second_derivatives_are_those_of_finite_differences(formula: str) -> None:
    made = moved(f"x*exp({formula})").eval()
    names = [name for name, _ in made.named_parameters()]

    def function(x: Tensor, *trained: Tensor) -> Tensor:
        named = dict(zip(names, trained, strict=True))
        return torch.func.functional_call(made, named, (x,))

    trained = [p.detach().clone().requires_grad_() for p in made.parameters()]
    x = (torch.randn(2, CHANNELS, CHANNELS, dtype=torch.float64) / 2).requires_grad_()
    assert torch.autograd.gradcheck(function, (x, *trained), fast_mode=True)
    assert torch.autograd.gradgradcheck(function, (x, *trained), fast_mode=True)


@pytest.mark.parametrize("formula", FORMULAS)
def test_half_precision_and_autocast_compute_in_float32(formula: str) -> None:
    made = moved(f"x*{formula}").float().eval()
    x = torch.randn(3, CHANNELS, CHANNELS).bfloat16()
    wanted = made(x.float())
    assert torch.equal(made(x), wanted.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(made(x.float()), wanted)
    assert copy.deepcopy(made).bfloat16()(x).dtype == torch.bfloat16


@pytest.mark.parametrize("formula", FORMULAS)
def test_what_is_not_a_number_is_seen_and_raises_nothing(formula: str) -> None:
    x = torch.full((3, CHANNELS, CHANNELS), math.nan, dtype=torch.float64)
    assert layer(f"x*{formula}")(x).isnan().all()


@pytest.mark.parametrize("formula", FORMULAS)
def test_compiles_without_a_graph_break(formula: str) -> None:
    made = moved(f"x*{formula}").eval()
    torch._dynamo.reset()
    compiled = torch.compile(made, fullgraph=True, backend="eager")
    x = torch.randn(3, CHANNELS, CHANNELS, dtype=torch.float64)
    torch.testing.assert_close(compiled(x), made(x))


def test_arrays_are_named_by_their_words() -> None:
    made = layer("channel_mix(x)*channel_mix(2*x) + depthwise(x)*depthwise(x) + a[1]*x")
    assert sorted(name for name, _ in made.named_parameters()) == [
        "a",
        "channel_mix.bias_root",
        "channel_mix.weight_root",
        "channel_mix_2.bias_root",
        "channel_mix_2.weight_root",
        "depthwise.weight",
    ]
    assert set(layer("cutoff_batch(x, 0.5)").state_dict()) == {
        "cutoff_batch.running",
        "cutoff_batch.batches",
    }


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("cutoff_token(x, x)", "number from 0 to 1 as its second argument, got 'x'"),
        ("cutoff_token(x, a[0.5])", r"second argument, got 'a\[0.5\]'"),
        ("cutoff_batch(x, 1.5)", "second argument, got '1.5'"),
        ("first_channels(mean_token(x))", "as its argument, got"),
        ("first_channels(0/0)", "as its argument, got"),
        ("cutoff_token(x)", "'cutoff_token' takes 2 arguments, got 1"),
        ("u*sorted_pairs(v)", "word sorted_pairs.* and reads u, v; a layer reads x"),
        ("x*uniform[1]", "'uniform' is taken"),
        ("sorted_pair(x)", "did you mean 'sorted_pairs'"),
    ],
)
def test_what_a_word_does_not_take_is_said_in_one_line(formula: str, words: str) -> None:
    with pytest.raises(ParseError, match=words) as caught:
        parse(formula)
    assert "\n" not in str(caught.value)


def test_a_share_may_be_a_formula_of_numbers() -> None:
    x = torch.randn(5, CHANNELS)
    made = (module_of(parse(f"cutoff_token(x, {t})"), CHANNELS)(x) for t in ("1 - 0.5", "0.5"))
    assert torch.equal(*made)


@pytest.mark.parametrize("name", TENSOR_WORDS)
def test_a_word_has_no_value_and_no_slope_at_one_point(name: str) -> None:
    expr = parse(next(formula for formula, word in FORMULAS.items() if word == name))
    with pytest.raises(ValueError, match=f"{name} reads a whole tensor"):
        evaluate(expr, {"x": torch.ones(3)})
    with pytest.raises(DerivativeError, match=f"'{name}' reads a whole tensor"):
        derivative(expr)
