"""Training with a choice: what changes at the switch, and what must not."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_task import Tiny, TinyAnchors

from actsearch.errors import TaskError
from actsearch.evaluators.selection import SelectionSettings, pool_gain, train_selection
from actsearch.evaluators.tasks import check_splits
from actsearch.primitives import read_formula
from actsearch.primitives.lowering.mixture import Mixing

POOL = {name: read_formula(name) for name in ("relu", "tanh", "prelu")}


def trained(seed=0, pool=POOL, task=None, **settings):
    task = task or Tiny()
    splits = check_splits(task.load())
    return train_selection(task, splits, pool, 0.02, seed, SelectionSettings(**settings))


@pytest.mark.parametrize("mixing", list(Mixing))
def test_repeats_bit_for_bit_and_leaves_the_generators_alone(mixing):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = trained(mixing=mixing)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    assert trained(mixing=mixing) == first
    assert trained(seed=1, mixing=mixing) != first


def test_says_what_each_neuron_chose():
    selection = trained()
    assert [len(layer) for layer in selection.layers] == [8]
    assert set(selection.layers[0]) <= set(POOL)
    assert 1 / 3 < selection.sureness <= 1
    assert selection.gap == selection.chosen - selection.mixed


def test_a_pool_of_equal_functions_has_no_gap():
    pool = {"one": read_formula("relu"), "other": read_formula("max(x, 0)")}
    selection = trained(pool=pool, mixing=Mixing.SOFT)
    assert selection.gap == 0


def test_training_goes_on_after_the_choice():
    early, late = trained(switch=0.2), trained(switch=0.9)
    assert early.curve[-1][0] == late.curve[-1][0] == Tiny.steps
    assert early.validation != early.chosen


def test_gain_is_of_the_mean_square():
    # E relu^2 is 1/2 and E x^2 is 1.
    pool = {"relu": read_formula("relu"), "identity": read_formula("identity")}
    assert pool_gain(pool, 32) == pytest.approx(1 / math.sqrt(0.75), rel=1e-9)


def test_refuses_a_task_of_several_networks():
    with pytest.raises(TaskError, match="has 2 networks"):
        trained(task=TinyAnchors())
