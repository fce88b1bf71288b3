"""`search zoo` as a user types it."""

from __future__ import annotations

import json

import pytest
from command_line import assert_one_clear_line, search

from actsearch.primitives import known_functions


def test_the_list_has_every_function_in_its_section(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    code, out, _ = search("zoo", capsys=capsys)
    assert code == 0
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert set(known_functions()) <= {words[0] for words in lines}
    assert ["rectifiers", "and", "piecewise"] in lines
    (snake,) = (line for line in out.splitlines() if line.startswith("snake "))
    assert "x + square(sin(a*x))/a" in snake and "scalar" in snake
    (swiglu,) = (line for line in out.splitlines() if line.startswith("swiglu "))
    assert "gated" in swiglu


def test_a_word_is_looked_for_in_names_formulas_and_sources(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = search("zoo", "--word", "1710.05941", "--json", capsys=capsys)
    assert code == 0
    names = {row["name"] for row in json.loads(out)}
    assert {"minsin", "max_tanh", "cos_minus_x"} <= names
    assert "relu" not in names
    assert_one_clear_line(search("zoo", "--word", "nowhere", capsys=capsys), "'nowhere'")


def test_one_row_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = search("zoo", "prelu", capsys=capsys)
    assert code == 0
    for text in ("a = 0.25 (trained, one per channel)", "arXiv:1502.01852", "kinks  0"):
        assert text in out
    code, out, _ = search("zoo", "lrelu", capsys=capsys)
    assert code == 0
    for text in ("name  leaky_relu", "aliases  lrelu", "a = 0.01 (fixed)", "leaky_relu(x, a=0.01)"):
        assert text in out


def test_what_is_not_sure_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = search("zoo", "hard_elish", capsys=capsys)
    assert code == 0
    assert "unverified" in out and "survey" in out


def test_json_has_the_row(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = search("zoo", "relu6", "--json", capsys=capsys)
    assert code == 0
    facts = json.loads(out)
    assert facts["canonical"] == "min(max(x, 0), 6)"
    assert facts["parameters"] == [{"name": "cap", "trained": False, "value": 6.0}]
    assert facts["kinks"] == [0.0, 6.0] and facts["smoothness"] == 0


def test_an_unknown_name_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert_one_clear_line(search("zoo", "snak", capsys=capsys), "'snak'", "did you mean 'snake'?")


def test_a_call_works_where_a_formula_does(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = search("eval", "snake(a=5)", "--at", "0.3", "--json", capsys=capsys)
    assert code == 0
    assert json.loads(out)["points"][0]["f"] == pytest.approx(0.3 + 0.9949962483 / 5, abs=1e-8)
    assert_one_clear_line(search("eval", "snake(b=5)", capsys=capsys), "no parameter 'b'", "has a")
