"""Identity cards: the figures of the reference, and what the command shows and writes."""

from __future__ import annotations

import json
import math

import pytest
from command_line import assert_one_clear_line, search

from actsearch.primitives import known_functions
from actsearch.primitives.analysis.figure import Figure
from actsearch.search.card import card_of
from actsearch.search.card_lines import sections_of, shown
from actsearch.search.functions import named_function


def figures(name, capsys):
    code, out, err = search("show", name, "--json", "--no-cost", capsys=capsys)
    assert code == 0, err
    return json.loads(out)


def test_gelu_against_the_reference(capsys):
    card = figures("gelu", capsys)
    (minimum,) = card["analysis"]["shape"]["extrema"]
    assert minimum["value"]["value"] == pytest.approx(-0.16997120747990369, abs=1e-9)
    assert minimum["at"]["value"] == pytest.approx(-0.75179, abs=1e-5)
    field = card["analysis"]["mean_field"]
    assert field["second"]["value"] == pytest.approx(0.425221483, abs=1e-8)
    assert field["gains"][0]["value"]["value"] == pytest.approx(1.53353044, abs=1e-7)
    # x Phi(x) = x/2 + even, so E z f = 1/2 and the odd part is a line: R^2 = (E z f)^2 / Var f.
    variance = 0.425221483 - 0.282094792**2
    assert card["analysis"]["linearity"]["value"] == pytest.approx(0.25 / variance, abs=1e-7)


def test_mish_selu_and_relu_against_the_reference(capsys):
    (minimum,) = figures("mish", capsys)["analysis"]["shape"]["extrema"]
    assert minimum["value"]["value"] == pytest.approx(-0.30884, abs=1e-5)
    assert minimum["at"]["value"] == pytest.approx(-1.19244, abs=1e-5)
    fixed = figures("selu", capsys)["analysis"]["mean_field"]["fixed_point"]
    assert fixed["mean"]["value"] == pytest.approx(0, abs=1e-9)
    assert fixed["variance"]["value"] == pytest.approx(1, abs=1e-9)
    assert fixed["attracting"]
    relu = figures("relu", capsys)["analysis"]
    assert relu["mean_field"]["gains"][0]["value"]["value"] == pytest.approx(math.sqrt(2))
    harmonics = [harmonic["value"] for harmonic in relu["spectrum"]["harmonics"]]
    assert relu["spectrum"]["dc"]["value"] == pytest.approx(1 / math.pi)
    assert harmonics[0] == pytest.approx(0.5)
    for n in range(1, 5):
        expected = 2 / math.pi * (-1) ** (n + 1) / (4 * n * n - 1)
        assert harmonics[2 * n - 1] == pytest.approx(expected, abs=1e-9)
        assert harmonics[2 * n] == pytest.approx(0, abs=1e-9)


def test_kinks_say_what_the_engine_uses_there(capsys):
    (kink,) = figures("relu", capsys)["analysis"]["shape"]["kinks"]
    sides = sorted((kink["left"]["value"], kink["right"]["value"]))
    assert sides == [0, 1]
    assert sides[0] <= kink["used"] <= sides[1]


def test_a_gate_and_a_layer_have_what_can_be_said_of_them():
    gate = card_of(named_function("swiglu"), with_cost=False)
    assert gate.analysis is None
    assert gate.moments.second == pytest.approx(0.35577552, abs=1e-6)
    layer = card_of(named_function("evonorm_s0"), with_cost=False)
    text = " ".join(line.text for section in sections_of(layer) for line in section.lines)
    assert "std_group" in text


@pytest.mark.parametrize(
    ("formula", "why"),
    [
        ("gaussian(10000*(x - 0.005))", "too steep"),
        ("sqrt(0 - 1 - square(x))", "not defined"),
    ],
)
def test_what_samples_do_not_resolve_has_no_figures(formula, why):
    card = card_of(named_function(formula), seconds=0, with_cost=False)
    assert card.analysis is None
    assert why in card.unresolved
    assert any(line.name == "no figures" for line in sections_of(card)[0].lines)


def test_parameters_of_a_call_count():
    one, five = (card_of(named_function(f"snake(a={a})"), with_cost=False) for a in (1, 5))
    assert one.analysis.shape.lipschitz.value == pytest.approx(2)
    assert five.analysis.shape.slope_lipschitz.value == pytest.approx(10)


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure(math.sqrt(2), exact=True, text="sqrt(2)"), "sqrt(2) = 1.41421"),
        (Figure(0.5, exact=True, text="0.5"), "0.5"),
        (Figure(1.0507009873554805, exact=True, text="1.0507009873554805"), "1.0507"),
        (Figure(0.28209479, error=1e-10), "≈ 0.282095"),
        (Figure(math.inf, exact=True, text="oo"), "∞"),
        (Figure(-0.0, exact=True, text="0"), "0"),
        (None, "none"),
    ],
)
def test_a_figure_shows_whether_it_is_exact(figure, text):
    assert shown(figure) == text


def test_prints_sections_and_cost(capsys):
    code, out, _ = search("show", "x*sigmoid(1.702*x)", capsys=capsys)
    assert code == 0
    for title in ("Shape", "Under a standard normal input", "Relatives in the zoo", "Cost"):
        assert title in out
    assert "quick_gelu" in out


def test_writes_page_and_picture(tmp_path, capsys):
    page, picture = tmp_path / "card.html", tmp_path / "card.png"
    flags = ("--html", page, "--png", picture, "--no-cost", "--seconds", "0")
    code, out, err = search("show", "leaky_relu", *flags, capsys=capsys)
    assert (code, out) == (0, "")
    assert "wrote" in err
    text = page.read_text()
    assert "<svg" in text
    assert "max(x, 0.01*x)" in text
    assert "<script" not in text
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("formula", ["nosuch", "x*", "snake(b=2)", "no/such/run#1"])
def test_refuses_in_one_line(formula, capsys):
    assert_one_clear_line(search("show", formula, capsys=capsys))


@pytest.mark.slow
# All of them take minutes; each section has one or more.
@pytest.mark.parametrize("name", list(known_functions())[::12])
def test_names_of_every_section_have_cards(name):
    card = card_of(named_function(name), seconds=0, with_cost=False)
    assert sections_of(card)
    json.dumps(card.to_dict())
