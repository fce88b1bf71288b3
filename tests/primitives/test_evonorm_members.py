"""Known layers are members of the space evonorm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from evonorm_graphs import ADD, DIV, EXP, MAX, MUL, NEG, SIGMOID, Node, built, decisions

from actsearch.evaluators.layer_screens import layer_fingerprint
from actsearch.primitives import module_of, parse, reads_batch
from actsearch.primitives.spaces import EvoNorm, replay
from actsearch.primitives.zoo import known_layers


def normalised(over: str) -> list[Node]:
    """v1*(x - mean)/std + v0, which is node10."""
    return [
        (f"mean_{over}(x)", "x"),
        (NEG, "node4"),
        (ADD, "x", "node5"),
        (f"std_{over}(x)", "x"),
        (DIV, "node6", "node7"),
        (MUL, "v1", "node8"),
        (ADD, "node9", "v0"),
    ]


RELU: list[Node] = [(MAX, "node10", "zero")]
SILU: list[Node] = [(SIGMOID, "node10"), (MUL, "node10", "node11")]
GELU: list[Node] = [("normal_cdf(x)", "node10"), (MUL, "node10", "node11")]
# Nodes of each known layer, the first of them node4.
MEMBERS: dict[str, list[Node]] = {
    "bn_relu": normalised("batch") + RELU,
    "gn_relu": normalised("group") + RELU,
    "gn_silu": normalised("group") + SILU,
    "ln_gelu": normalised("token") + GELU,
    "rms_norm_silu": [
        ("rms_token(x)", "x"),
        (DIV, "x", "node4"),
        (MUL, "v1", "node5"),
        (SIGMOID, "node6"),
        (MUL, "node6", "node7"),
    ],
    "evonorm_b0": [
        ("std_batch(x)", "x"),
        (MUL, "v1", "x"),
        ("std_instance(x)", "x"),
        (ADD, "node5", "node6"),
        (MAX, "node4", "node7"),
        (DIV, "x", "node8"),
    ],
    "evonorm_b1": [
        ("std_batch(x)", "x"),
        (EXP, "zero"),
        (ADD, "x", "node5"),
        ("rms_instance(x)", "x"),
        (MUL, "node6", "node7"),
        (MAX, "node4", "node8"),
        (DIV, "x", "node9"),
    ],
    "evonorm_b2": [
        ("std_batch(x)", "x"),
        ("rms_instance(x)", "x"),
        (NEG, "x"),
        (ADD, "node5", "node6"),
        (MAX, "node4", "node7"),
        (DIV, "x", "node8"),
    ],
    "evonorm_s0": [
        (MUL, "v1", "x"),
        (SIGMOID, "node4"),
        (MUL, "x", "node5"),
        ("std_group(x)", "x"),
        (DIV, "node6", "node7"),
    ],
    "evonorm_s1": [
        (SIGMOID, "x"),
        (MUL, "x", "node4"),
        ("std_group(x)", "x"),
        (DIV, "node5", "node6"),
    ],
    "evonorm_s2": [
        (SIGMOID, "x"),
        (MUL, "x", "node4"),
        ("rms_group(x)", "x"),
        (DIV, "node5", "node6"),
    ],
}
# Those with gamma and beta inside; in the space v1 and v0 take their place.
INNER = {"bn_relu", "gn_relu", "gn_silu", "ln_gelu", "rms_norm_silu"}


def test_every_known_layer_has_nodes_here() -> None:
    assert set(MEMBERS) == set(known_layers())


@pytest.mark.parametrize("shape", [(5, 8, 3, 4), (6, 8, 5), (7, 8)], ids=str)
@pytest.mark.parametrize("name", MEMBERS)
def test_known_layers_are_members_equal_in_value_and_every_gradient(
    name: str, shape: tuple[int, ...]
) -> None:
    """At any gamma, beta and v1; a layer with gamma and beta inside has them in v1 and v0, and
    around it the gamma 1 and beta 0 with which the space starts."""
    torch.manual_seed(0)
    space = EvoNorm(10, "B", token_sets=True, operators="extended")
    found = module_of(replay(space, decisions(MEMBERS[name])).expr, 8, groups=4).double()
    known = module_of(known_layers()[name].expr, 8, groups=4).double()
    own = {"gamma": "v1", "beta": "v0"} if name in INNER else {}
    with torch.no_grad():
        for parameter_name, parameter in known.named_parameters():
            parameter.copy_(torch.randn(8))
            getattr(found, own.get(parameter_name, parameter_name)).copy_(parameter)
    for mode in (True, False):
        x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        weights = torch.randn(*shape, dtype=torch.float64)
        values = [module.train(mode)(x) for module in (found, known)]
        torch.testing.assert_close(*values, rtol=1e-12, atol=1e-13)
        pairs = [
            (getattr(found, own.get(n, n)), parameter) for n, parameter in known.named_parameters()
        ]
        in_space, in_zoo = (
            torch.autograd.grad((value * weights).sum(), [x, *(pair[i] for pair in pairs)])
            for i, value in enumerate(values)
        )
        torch.testing.assert_close(in_space, in_zoo, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["evonorm_b0", "evonorm_s0", "evonorm_s1", "evonorm_s2"])
def test_members_without_a_difference_have_the_text_of_the_zoo(name: str) -> None:
    space = EvoNorm(6, "B")
    assert built(space, *MEMBERS[name]) == known_layers()[name].expr


def test_the_series_have_the_named_members_and_the_paper_has_no_others() -> None:
    for name, nodes in MEMBERS.items():
        series = "B" if name == "bn_relu" or name.startswith("evonorm_b") else "S"
        tokens = name in ("ln_gelu", "rms_norm_silu")
        extended = name == "ln_gelu"
        replay(
            EvoNorm(10, series, tokens, "extended" if extended else "evonorm-2020"),
            decisions(nodes),
        )
        if series == "B":
            with pytest.raises(ValueError, match="has no option"):
                replay(EvoNorm(10, "S"), decisions(nodes))
        if tokens:
            with pytest.raises(ValueError, match="has no option"):
                replay(EvoNorm(10, "B", operators="extended"), decisions(nodes))


@pytest.mark.parametrize("name", known_layers())
def test_a_space_tells_how_each_of_its_known_layers_is_built(name: str) -> None:
    expr = known_layers()[name].expr
    space = EvoNorm(series="B", operators="extended", token_sets=True)
    found = space.decisions_of(expr)
    assert found is not None
    made = replay(space, found).expr
    assert np.abs(layer_fingerprint(made) - layer_fingerprint(expr)).max() < 1e-9
    # The same answers are in reach of a smaller space exactly if it has the operators.
    small = EvoNorm(series="S").decisions_of(expr)
    assert (small is None) == (reads_batch(expr) or name in ("ln_gelu", "rms_norm_silu"))
    assert EvoNorm(nodes=1).decisions_of(expr) is None


@pytest.mark.parametrize(
    "formula",
    [
        "x/mean_layer(x)",  # gets an epsilon
        "2*x/std_layer(x)",
        "a[1, channel]*b[1, channel]*x/std_layer(x)",
        "beta[0.5, channel]*x/std_layer(x)",
        "v1[1]*x/std_layer(x)",
        "sin(x)/std_layer(x)",
        "u*v",
    ],
)
def test_what_is_no_member_has_no_answers(formula: str) -> None:
    assert EvoNorm(series="B").decisions_of(parse(formula)) is None


def test_random_members_are_found_again() -> None:
    space, found = EvoNorm(series="B"), 0
    for seed in range(200):
        expr = space.sample(np.random.default_rng(seed)).expr
        decisions = space.decisions_of(expr)
        if decisions is not None:
            found += 1
            again = replay(space, decisions).expr
            # Guards are no operators of the space, so that most with an epsilon are not told.
            assert again == expr
    assert found > 60
