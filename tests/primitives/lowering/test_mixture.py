"""Mixtures against sums written out by hand, and the choice against each function by itself."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from actsearch.primitives import read_formula
from actsearch.primitives.lowering.mixture import Mixing, Mixture, Selected, frozen

POOL = {name: read_formula(name) for name in ("relu", "tanh", "prelu", "sin(x)")}
PLAIN = (
    torch.relu,
    torch.tanh,
    lambda x: functional.prelu(x, x.new_tensor(0.25)),
    torch.sin,
)


def mixture_with(choice, mixing=Mixing.SOFT, dim=1, sharp=5.0):
    mixture = Mixture(POOL, len(choice), dim, mixing=mixing)
    with torch.no_grad():
        mixture.logits.copy_(sharp * functional.one_hot(torch.tensor(choice), len(POOL)))
    return mixture


def test_soft_mixture_is_the_weighted_sum():
    torch.manual_seed(0)
    mixture = Mixture(POOL, 3, mixing=Mixing.SOFT, temperature=0.5).double()
    with torch.no_grad():
        mixture.logits.normal_()
    x = torch.randn(7, 3, 5, dtype=torch.float64)
    weights = torch.softmax(mixture.logits.double() / 0.5, 1)
    expected = sum(weights[:, k].reshape(1, 3, 1) * function(x) for k, function in enumerate(PLAIN))
    torch.testing.assert_close(mixture(x), expected)


def test_hard_mixture_gives_each_channel_one_function_of_the_pool():
    torch.manual_seed(0)
    mixture = Mixture(POOL, 64)
    x = torch.randn(9, 64)
    values = mixture(x)
    candidates = torch.stack([function(x) for function in PLAIN])
    off = (values - candidates).abs().amax(dim=1)
    assert (off.min(dim=0).values < 1e-6).all()
    # 64 channels draw from four equally likely functions: each comes.
    assert set(off.argmin(dim=0).tolist()) == {0, 1, 2, 3}


def test_what_was_not_drawn_may_overflow():
    pool = {name: read_formula(name) for name in ("relu", "exp(x)")}
    mixture = Mixture(pool, 2)
    with torch.no_grad():
        mixture.logits.copy_(torch.tensor([[500.0, 0.0], [500.0, 0.0]]))
    torch.testing.assert_close(mixture(torch.full((1, 2), 200.0)), torch.full((1, 2), 200.0))


def test_draws_follow_the_softmax():
    torch.manual_seed(1)
    mixture = Mixture(POOL, 1, temperature=1.0)
    with torch.no_grad():
        mixture.logits.copy_(torch.tensor([[1.0, 0.0, -1.0, 0.5]]))
    draws = torch.stack([mixture.weights().detach()[0] for _ in range(4000)])
    expected = torch.softmax(torch.tensor([1.0, 0.0, -1.0, 0.5]), 0)
    deviation = (expected * (1 - expected) / 4000).sqrt()
    assert ((draws.mean(0) - expected).abs() < 5 * deviation).all()


@pytest.mark.parametrize("mixing", list(Mixing))
def test_logits_and_functions_have_gradients(mixing):
    torch.manual_seed(0)
    mixture = Mixture(POOL, 40, mixing=mixing)
    mixture(torch.randn(32, 40)).square().sum().backward()
    assert mixture.logits.grad.abs().sum() > 0
    assert mixture.functions[2].a.grad.abs().sum() > 0


@pytest.mark.parametrize(("dim", "shape"), [(1, (4, 5)), (1, (2, 5, 3)), (-1, (2, 3, 5))])
def test_selected_applies_to_each_channel_what_it_chose(dim, shape):
    choice = [3, 0, 2, 0, 1]
    selected = Selected(mixture_with(choice, dim=dim))
    x = torch.randn(*shape)
    expected = torch.stack(
        [PLAIN[k](channel) for k, channel in zip(choice, x.unbind(dim), strict=True)], dim
    )
    torch.testing.assert_close(selected(x), expected)
    assert selected.names == ("sin(x)", "relu", "prelu", "relu", "tanh")


def test_what_a_function_has_learnt_stays_with_its_channel():
    mixture = mixture_with([2, 0, 2])
    with torch.no_grad():
        mixture.functions[2].a.copy_(torch.tensor([0.1, 0.2, 0.3]))
    selected = Selected(mixture)
    value = selected(torch.full((1, 3), -1.0))
    torch.testing.assert_close(value, torch.tensor([[-0.1, 0.0, -0.3]]))
    selected(torch.full((1, 3), -1.0)).sum().backward()
    torch.testing.assert_close(mixture.functions[2].a.grad, torch.tensor([-1.0, 0.0, -1.0]))


def test_a_sure_soft_mixture_does_not_change_when_it_is_frozen():
    choice = [1, 0, 3, 2]
    model = nn.Sequential(nn.Linear(2, 4), mixture_with(choice, sharp=60.0), nn.Linear(4, 1))
    x = torch.randn(8, 2)
    before = model(x)
    (selected,) = frozen(model)
    assert isinstance(model[1], Selected)
    assert selected.names == ("tanh", "relu", "sin(x)", "prelu")
    torch.testing.assert_close(model(x), before)


def test_one_mixture_in_two_places_stays_one():
    mixture = mixture_with([0, 1])
    model = nn.ModuleDict({"first": mixture, "second": nn.Sequential(mixture)})
    assert len(frozen(model)) == 1
    assert model["first"] is model["second"][0]


@pytest.mark.parametrize(
    ("pool", "problem"),
    [
        (("relu",), "at least two"),
        (("relu", "swiglu"), "'swiglu' cannot be in a pool"),
        (("relu", "bn_relu"), "'bn_relu' cannot be in a pool"),
        (("relu", "softmax"), "'softmax' cannot be in a pool"),
        (("relu", "rrelu"), "'rrelu' cannot be in a pool"),
    ],
)
def test_refuses_what_cannot_be_mixed(pool, problem):
    with pytest.raises(ValueError, match=problem):
        Mixture({name: read_formula(name) for name in pool}, 4)


def test_refuses_a_temperature_of_zero():
    with pytest.raises(ValueError, match="temperature=0"):
        Mixture(POOL, 4, temperature=0)
