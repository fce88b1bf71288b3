"""Bytes and kept memory against counts by hand; times against each other."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch.nn import functional

from actsearch.errors import ConfigError
from actsearch.evaluators import cost_model
from actsearch.evaluators.cost import (
    Cost,
    composition,
    measure_cost,
    measure_function,
    saved_bytes,
)
from actsearch.evaluators.cost_model import ENTRIES, CostModel, measure_operators, probe
from actsearch.primitives import OPERATORS, Input, module_of, parse, read_formula
from actsearch.primitives.lowering import backends
from actsearch.primitives.lowering.program import forward_program

BY_CHANNEL = "beta[1, channel]*x*sigmoid(x)"
# What torch's autograd keeps of each composition, by torch's derivatives.yaml, in tensors:
# relu its result; mish x, exp(-|x|), tanh; swiglu u, v, sigmoid(u), u*sigmoid(u); the last x,
# beta*x, sigmoid(x).
COMPOSED = {"relu": 1, "mish": 3, "swiglu": 4, BY_CHANNEL: 3}
GATED = ("swiglu",)


@pytest.fixture(autouse=True)
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actsearch.evaluators.cost._SECONDS", 0.0005)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("formula", COMPOSED)
def test_bytes_are_those_counted_by_hand(formula: str, dtype: torch.dtype) -> None:
    found = measure_cost(read_formula(formula), dtype=dtype, elements=6400)
    size = dtype.itemsize
    count = 2 if formula in GATED else 1
    assert found.elements == 6400
    assert found.copy_bytes == 2 * size
    assert found.forward_bytes == (count + 1) * size
    assert found.backward_bytes == (2 * count + 1) * size
    # The operators are composed in float32 at least.
    assert found.eager_saved_bytes == COMPOSED[formula] * max(size, 4)


@pytest.mark.parametrize("formula", COMPOSED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_kernel_keeps_the_inputs_alone(formula: str, dtype: torch.dtype) -> None:
    kind = backends.backend_for(torch.zeros(100, 64, dtype=dtype))
    if kind is backends.Backend.EAGER:
        pytest.skip("this machine has no kernel for the dtype")
    found = measure_cost(read_formula(formula), dtype=dtype, elements=6400)
    assert found.backend == kind
    assert found.saved_bytes == dtype.itemsize * (2 if formula in GATED else 1)


def test_saved_memory_counts_each_piece_once_and_no_parameter() -> None:
    x = torch.randn(8, 64, requires_grad=True)
    weight = torch.randn(64, requires_grad=True)
    # mul keeps x and itself again; relu its result, which mul keeps too.
    assert saved_bytes(lambda x: x * x, [x]) == 4
    assert saved_bytes(lambda x: x * x.view(8, 64), [x]) == 4
    assert saved_bytes(lambda x: torch.relu(x) * x, [x]) == 8
    assert saved_bytes(lambda x: x * weight, [x]) == 4
    assert saved_bytes(lambda x: torch.where(x > 0, x, 0.0), [x]) == 1
    assert saved_bytes(lambda x: x + 1, [x]) == 0
    assert saved_bytes(functional.gelu, [x]) == 4


def test_a_composition_is_what_torch_computes() -> None:
    u, v = (torch.randn(8, 64, requires_grad=True) for _ in range(2))
    # float32 rounding, of values of size 1 to 10.
    close = {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(
        composition(read_formula("swiglu"), [u, v]), functional.silu(u) * v, **close
    )
    torch.testing.assert_close(composition(read_formula("mish"), [u]), functional.mish(u), **close)
    shifted = composition(parse("x + bias[0.5, channel]"), [u])
    torch.testing.assert_close(shifted, u + 0.5)
    half = composition(read_formula("relu"), [u.to(torch.bfloat16)])
    assert half.dtype is torch.float32


def test_shares_follow_from_times_and_bytes() -> None:
    found = measure_cost(parse(BY_CHANNEL), elements=6400)
    assert min(found.forward_ns, found.backward_ns, found.copy_ns) > 0
    assert found.ns == found.forward_ns + found.backward_ns
    bandwidth = 8 / found.copy_ns
    assert found.forward_share == pytest.approx(8 / found.forward_ns / bandwidth)
    assert found.backward_share == pytest.approx(12 / found.backward_ns / bandwidth)
    table = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert table["ns"] == found.ns
    by_hand = Cost("", 1, 2.0, 3.0, 1.0, 8, 12, 8, 4, 4)
    assert (by_hand.ns, by_hand.forward_share, by_hand.backward_share) == (5, 0.5, 0.5)


def test_torchs_own_functions_are_measured_alike() -> None:
    found = measure_function(functional.gelu, elements=6400)
    assert (found.forward_bytes, found.backward_bytes, found.saved_bytes) == (8, 12, 4)
    assert found.ns > 0


@pytest.mark.parametrize("name", ["evonorm_s0", "bn_relu", "ln_gelu"])
def test_a_layer_is_timed_on_examples_of_64_positions(name: str) -> None:
    found = measure_cost(read_formula(name), elements=2 * 64 * 64 - 1)
    assert found.elements == 2 * 64 * 64
    assert (found.forward_bytes, found.backward_bytes) == (8, 12)
    # x, and statistics that are smaller; operator by operator more.
    assert 4 <= found.saved_bytes < 9 < found.eager_saved_bytes


@pytest.mark.parametrize("name", ["evonorm_s0", "evonorm_b0", "ln_gelu", "cats", "gdn", "top_k"])
def test_a_composed_layer_is_the_layer(name: str) -> None:
    expr = read_formula(name)
    x = torch.randn(5, 64, 7, dtype=torch.float64)
    torch.testing.assert_close(composition(expr, [x]), module_of(expr, 64).double()(x))


@pytest.mark.parametrize("elements", [1, 3, 65])
def test_odd_sizes_are_rounded_up_to_rows(elements: int) -> None:
    found = measure_cost(parse(BY_CHANNEL), elements=elements)
    assert found.elements == {1: 1, 3: 3, 65: 128}[elements]


def test_what_cannot_be_measured_is_refused() -> None:
    relu = read_formula("relu")
    with pytest.raises(ConfigError, match="reads no input"):
        measure_cost(parse("beta[1]"))
    with pytest.raises(ConfigError, match="GiB are free"):
        measure_cost(relu, elements=10**10)
    with pytest.raises(ConfigError, match="unknown device 'cpu:1'"):
        measure_cost(relu, device="cpu:1")
    with pytest.raises(ConfigError, match="no device 'cuda:99'"):
        measure_operators("cuda:99")


def test_measuring_leaves_the_number_of_threads_as_it_was() -> None:
    before = torch.get_num_threads()
    measure_cost(read_formula("relu"), elements=64)
    assert torch.get_num_threads() == before


# One decimal digit for each name, so that a sum shows how often each was counted.
COUNTED = {"sin": 1, "cos": 10, "mul": 100, "relu": 1000, "step": 10**4, "add": 10**5}
COUNTED |= {"abs": 10**6, "forward_pass": 10**7, "backward_pass": 10**8, "parameter": 10**9}


def counts(formula: str) -> dict[str, int]:
    table = {**dict.fromkeys(ENTRIES, 10.0**10), **{k: float(v) for k, v in COUNTED.items()}}
    total = round(CostModel(table).cost(read_formula(formula)))
    return {name: total // unit % 10 for name, unit in COUNTED.items() if total // unit % 10}


def test_a_modelled_cost_is_the_sum_over_the_steps_of_both_passes() -> None:
    passes = {"forward_pass": 1, "backward_pass": 1}
    # Forward relu(x), backward grad*step(x).
    assert counts("relu") == {"relu": 1, "step": 1, "mul": 1, **passes}
    assert counts("sin(x)") == {"sin": 1, "cos": 1, "mul": 1, **passes}
    # Forward beta*x, backward grad*beta and grad*x.
    assert counts("beta[1]*x") == {"mul": 3, "parameter": 1, **passes}
    assert counts("x") == passes


def test_a_layer_has_its_moments_and_a_pass_for_each_stretch_between_them() -> None:
    layer = parse("relu(x)/std_group(sin(x)) + mean_layer(x)")
    table = {**dict.fromkeys(ENTRIES, 0.0), "std_group": 7.0, "mean_layer": 50.0}
    assert CostModel(table).cost(layer) == 57
    # The argument of the one moment is a stretch of its own, that of the other is x.
    assert CostModel({**table, "forward_pass": 100.0}).cost(layer) == 257
    assert CostModel({**table, "cos": 1000.0}).cost(layer) == 1057


def test_a_word_of_two_arguments_has_a_pass_for_each() -> None:
    table = {**dict.fromkeys(ENTRIES, 0.0), "normal": 5.0}
    assert CostModel(table).cost(parse("x + normal(sin(x), exp(x))")) == 5
    # And one for the sum; a share is no tensor.
    layer = parse("x + normal(sin(x), exp(x))*cutoff_token(x, 0.5)")
    assert CostModel({**table, "forward_pass": 100.0}).cost(layer) == 305


def test_a_shared_step_counts_once_in_each_pass() -> None:
    # Each pass needs sin(x) once: forward for both terms, backward for the slope of the second.
    assert counts("sin(x) + abs(sin(x))")["sin"] == 2


def test_a_penalty_is_the_weight_for_each_doubling_over_relu() -> None:
    table = {**dict.fromkeys(ENTRIES, 0.0), "forward_pass": 1.0, "exp": 7.0, "mul": 0.0}
    model = CostModel(table)
    assert model.penalty(read_formula("relu"), 0.5) == 0
    # exp is its own slope: forward and backward need it once each, 1 + 7 + 7 = 15.
    assert model.penalty(parse("exp(x)"), 0.5) == pytest.approx(0.5 * math.log2(15))
    cheaper = CostModel({**table, "step": 100.0})
    assert cheaper.penalty(parse("exp(x)"), 0.5) == 0


def test_a_table_without_an_operator_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="no entry 'backward_pass'; remove the table"):
        CostModel({"forward_pass": 1.0}).cost(parse("sin(x)"))


def test_the_measured_table_has_every_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_model, "_SECONDS", 0.0005)
    table = measure_operators()
    assert set(table) == set(ENTRIES)
    assert all(0 < cost < 1e6 for cost in table.values())
    assert set(OPERATORS) < set(table)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_probe_is_one_step_longer_than_what_it_is_compared_with(name: str) -> None:
    scaled = cost_model.SCALED
    steps = forward_program(probe(name, scaled)).instructions
    assert [step.operator.name for step in steps] == ["mul", name]
    assert Input("x") in forward_program(scaled).leaves
