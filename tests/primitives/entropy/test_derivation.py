"""The printed derivation says what was done, step by step."""

from __future__ import annotations

import pytest

from actsearch.primitives import parse
from actsearch.primitives.entropy import Form, laplace, logistic, normal, uniform
from actsearch.primitives.entropy.derivation import Derivation, derive


def titles(found: Derivation) -> list[str]:
    return [step.title for step in found.steps]


def formula(found: Derivation, title: str) -> str:
    (step,) = [step for step in found.steps if step.title.startswith(title)]
    return step.formula


def test_the_steps_of_relu_end_with_crrelu() -> None:
    found = derive(parse("relu(x)"), normal())
    assert [title.split(",")[0] for title in titles(found)] == [
        "Density of the input",
        "Entropy of the output",
        "Its largest value",
        "Steepest descent",
        "Branch x < 0",
        "Branch x > 0",
        "Kink at x = 0",
        "Constants go into eps",
        "New activation",
    ]
    assert "flat" in formula(found, "Branch x < 0")
    assert formula(found, "Branch x > 0").startswith("f = x, f' = 1, f'' = 0, s = +1; D = -0.3989")
    assert formula(found, "Kink").endswith("D(0+) = 0: f stays continuous")
    assert formula(found, "New").endswith("relu(x) + eps[0.01]*x*exp(-0.5*square(x))")
    assert (found.first_order.exact, found.first_order.text) == (True, "sqrt(2)/4")
    assert [change.eps for change in found.changes] == [0.01, -0.01]


def test_every_step_but_a_kink_that_needs_nothing_has_latex() -> None:
    for base, density in (("relu(x)", normal()), ("elu(x)", laplace())):
        for step in derive(parse(base), density, seconds=20.0).steps:
            assert step.latex or step.formula.endswith("stays continuous")


def test_without_time_the_latex_of_expressions_is_left_out() -> None:
    found = derive(parse("relu(x)"), normal(), seconds=0.0)
    assert found.steps[-1].latex == ""
    assert found.steps[-1].formula == derive(parse("relu(x)"), normal()).steps[-1].formula
    assert not found.first_order.exact


def test_zeros_of_the_slope_windows_and_ends_of_the_support_are_named() -> None:
    for form, weight in ((None, "f'^4"), (Form.REGULAR, "f'^2")):
        silu = derive(parse("x*sigmoid(x)"), normal(), form, seconds=0.0)
        named = formula(silu, f"Descent with weight {weight}")
        assert named.endswith("f' is 0 at x = -1.27846")
    elu = derive(parse("elu(x)"), normal(), seconds=0.0)
    assert "it jumps, so D is multiplied by 1 - exp(-x^2/(2*0.5^2))" in formula(elu, "Kink")
    flat = derive(parse("tanh(x)"), uniform(), seconds=0.0)
    assert formula(flat, "Branch x < -1") == "outside of the support: D = 0"
    free = derive(parse("abs(x)"), normal(), Form.SCALE_FREE, seconds=0.0)
    assert "f bends there" in formula(free, "Kink")
    assert "S = H - ln(Var f)/2" in formula(free, "Entropy")


@pytest.mark.parametrize(
    ("base", "density"), [("normal_cdf(x)", normal()), ("sigmoid(x)", logistic())]
)
def test_a_distribution_function_ends_with_0(base: str, density) -> None:
    found = derive(parse(base), density, seconds=0.0)
    assert found.steps[-1].formula == "D = 0 on every branch, as for C1*CDF + C2"
    assert found.changes == ()
