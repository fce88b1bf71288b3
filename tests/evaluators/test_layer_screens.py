"""The static screen and the fingerprint of layers."""

from __future__ import annotations

import numpy as np
import pytest

from actsearch.evaluators.layer_screens import layer_fingerprint, layer_screen
from actsearch.evaluators.new_functions import NewFunctionScreen
from actsearch.evaluators.verdict import Reason, StaticLimits
from actsearch.primitives import Expr, known_layers, parse


def layer(graph: str) -> Expr:
    return parse(f"gamma[1, channel]*({graph}) + beta[0, channel]")


@pytest.mark.parametrize("name", known_layers())
def test_known_layers_pass(name: str) -> None:
    assert layer_screen(known_layers()[name].expr, StaticLimits()).accepted


@pytest.mark.parametrize(
    ("graph", "reason", "words"),
    [
        ("std_batch(v1[1, channel])", Reason.CONSTANT, "reads no input"),
        ("mean_batch(x) - mean_batch(x) + std_layer(v1[1, channel])", Reason.CONSTANT, "changes"),
        ("mean_batch(x)*v1[1, channel]", Reason.CONSTANT, "running statistics alone"),
        ("std_layer(x)/x", Reason.NOT_FINITE, "zeros"),
        ("exp(x)/std_layer(x)", Reason.NOT_FINITE, "scale 10000"),
        ("log(x)/std_layer(x)", Reason.NOT_FINITE, "unit scale"),
        ("1e6*x/std_layer(x)", Reason.EXTREME, "value or slope"),
    ],
)
def test_what_is_rejected_and_why(graph: str, reason: Reason, words: str) -> None:
    verdict = layer_screen(layer(graph), StaticLimits())
    assert verdict.reason is reason
    assert words in verdict.figure


def test_no_two_sets_of_entries_have_one_fingerprint() -> None:
    sets = ("batch", "layer", "instance", "group", "token", "token_group")
    marks = [layer_fingerprint(layer(f"x*sigmoid(x)/std_{name}(x)")) for name in sets]
    for first in range(len(marks)):
        for second in range(first):
            assert np.abs(marks[first] - marks[second]).max() > 0.1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x*sigmoid(v1[1, channel]*x)/std_group(x)", "sigmoid(x*v1[1, channel])*x/std_group(x)", 1),
        ("x*sigmoid(x)/std_group(x)", "-3*x*sigmoid(x)/std_group(x)", 1),
        ("x*sigmoid(v1[1, channel]*x)/std_group(x)", "x*sigmoid(x)/std_group(x)", 0),
        ("x/std_layer(x)", "x/rms_layer(x)", 0),
        ("x/std_layer(x - mean_layer(x))", "x/std_layer(x)", 1),
        ("max(x, v0[0, channel])/std_layer(x)", "max(x, v1[1, channel])/std_layer(x)", 0),
    ],
)
def test_fingerprints_tell_functions_not_spellings(one: str, other: str, same: int) -> None:
    first, second = (layer_fingerprint(layer(graph)) for graph in (one, other))
    assert (np.abs(first - second).max() < 1e-6) == bool(same)


def test_a_batch_norm_is_recognised_by_other_names_of_its_parameters() -> None:
    graph = "max(((x - mean_batch(x))/std_batch(x))*v1[1, channel] + v0[0, channel], 0)"
    screen = NewFunctionScreen(StaticLimits(), list(known_layers().values()))
    assert screen(layer(graph)).known == "bn_relu"


def test_a_screen_knows_layers_and_takes_each_once() -> None:
    screen = NewFunctionScreen(StaticLimits(), list(known_layers().values()))
    spelled = layer("(sigmoid(v1[1, channel]*x)*x)/std_group(x)")
    assert screen(spelled).known == "evonorm_s0"
    assert screen(known_layers()["evonorm_s0"].expr).reason is Reason.DUPLICATE


def test_statistics_of_the_batch_can_be_forbidden() -> None:
    screen = NewFunctionScreen(StaticLimits(batch_statistics=False))
    assert screen(known_layers()["evonorm_b0"].expr).reason is Reason.BATCH
    assert screen(known_layers()["evonorm_s0"].expr).accepted
