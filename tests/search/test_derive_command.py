"""`search derive`, as a user types it."""

from __future__ import annotations

import json
import math

import pytest
from command_line import assert_one_clear_line, search


def test_relu_ends_with_crrelu_and_both_signs(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = search("derive", "relu", "--density", "normal", capsys=capsys)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "relu(x) under normal(0, 1), inverse-free form"
    assert " 9. New activation, eps trained" in lines
    assert lines[-4] == "dH/d eps   sqrt(2)/4 = 0.353553 nats, exact"
    assert lines[-3].startswith("eps = +0.01  dH = +0.00352: the entropy rises; dS = +0.0025")
    assert lines[-2].startswith("eps = -0.01  dH = -0.00355: the entropy falls; dS = -0.0026"[:-1])
    assert lines[-1] == "equals crrelu"


def test_json_has_the_steps_the_function_and_the_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = search("derive", "relu", "--deviation", "2", "--unit", "--json", capsys=capsys)
    assert code == 0
    found = json.loads(out)
    assert found["density"] == "normal(0, 2)"
    assert found["equals"] is None
    assert {"title", "formula", "latex"} == set(found["steps"][0])
    assert found["canonical"].startswith("add(relu(x), mul(")
    # max of x exp(-x^2/8) is at x = 2.
    assert f"{0.5 * math.exp(0.5):.6f}"[:7] in found["term"]
    assert [change["eps"] for change in found["changes"]] == [0.01, -0.01]
    assert found["first_order"]["value"] > 0


def test_a_distribution_function_has_no_correction(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = search("derive", "sigmoid", "--density", "logistic", capsys=capsys)
    assert code == 0
    assert out.splitlines()[-1].startswith("correction 0: no step changes the entropy")
    code, out, _ = search("derive", "-normal_cdf(x)", "--json", capsys=capsys)
    assert code == 0
    assert json.loads(out)["vanishes"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["relu", "--density", "gauss"], ["unknown density 'gauss'", "normal, logistic"]),
        (["relu", "--deviation", "0"], ["deviation 0.0", "0.001 to 1000"]),
        (["relu", "--mean", "nan"], ["location nan"]),
        (
            ["relu", "--form", "steep"],
            ["unknown form 'steep'", "inverse-free, regular, integrable"],
        ),
        (["gelu", "--form", "inverse-free"], ["-0.751792", "regular form", "integrable"]),
        (["x", "--density", "cauchy", "--form", "scale-free"], ["no finite variance"]),
        (["u*sigmoid(u)*v"], ["reads u, v"]),
        (["bn_relu"], ["moments of a layer"]),
        (["softmax"], ["softmax has 'max_token'", "a function of one number"]),
        (["rrelu"], ["rrelu has 'uniform'", "without draws"]),
        (["step(x)"], ["flat"]),
        (["log(x)"], ["not finite at x"]),
        (["nonsense(x)"], ["unknown operator 'nonsense'"]),
        (["bessel_i0e(x)"], ["bessel_i0e_slope"]),
    ],
)
def test_what_cannot_be_derived_is_one_clear_line(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert_one_clear_line(search("derive", *arguments, capsys=capsys), *words)
