"""Rooms import downwards only, and the cheap ones stay cheap to import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import actsearch

PACKAGE = Path(actsearch.__file__).parent
# What each room may import of the others; `errors` is everyone's.
ALLOWED = {
    "primitives": set(),
    "evaluators": {"primitives"},
    "runs": {"primitives", "evaluators.result", "evaluators.pareto", "evaluators.cost_model"},
    "search": {"primitives", "evaluators", "runs"},
}


def modules():
    return sorted(path for room in ALLOWED for path in (PACKAGE / room).rglob("*.py"))


def imported_from_package(path):
    """Full names of what a file imports of actsearch, whether absolutely or relatively."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(parts[: -node.level]) if node.level else ""
            if path.name == "__init__.py" and node.level:
                base = ".".join(parts[:-1][: len(parts) - node.level])
            module = ".".join(part for part in (base, node.module) if part)
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "actsearch")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_go_downwards(path):
    room = path.relative_to(PACKAGE).parts[0]
    for name in imported_from_package(path):
        inside = name.removeprefix("actsearch").lstrip(".")
        if not inside or inside.split(".")[0] in (room, "errors", "__version__"):
            continue
        allowed = any(inside == other or inside.startswith(f"{other}.") for other in ALLOWED[room])
        assert allowed, f"{path.relative_to(PACKAGE)} imports {name}"


def loaded_after(statement):
    """Top-level names of all modules loaded after the statement, in a process of its own."""
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("actsearch.errors", {"torch", "numpy", "ray", "optuna", "sympy", "matplotlib"}),
        ("actsearch.primitives", {"ray", "optuna", "sympy", "matplotlib", "sklearn"}),
        ("actsearch.primitives.analysis", {"scipy", "ray", "optuna", "sympy", "matplotlib"}),
        ("actsearch.primitives.symbolic", {"ray", "optuna", "sympy", "matplotlib"}),
        ("actsearch.evaluators.result", {"torch", "ray", "optuna", "sympy", "matplotlib"}),
        ("actsearch.runs.export", {"ray", "optuna", "sympy", "matplotlib"}),
    ],
)
def test_importing_a_room_does_not_load(module, absent):
    loaded = loaded_after(f"import {module}")
    assert "actsearch" in loaded
    assert not absent & loaded


def test_the_analyses_are_there_when_asked_for():
    from actsearch.primitives import analysis
    from actsearch.primitives.analysis.shape import shape_of

    for name in analysis.__all__:
        assert callable(getattr(analysis, name))
    assert analysis.shape_of is shape_of
    assert callable(analysis.initial_gain)
    with pytest.raises(AttributeError, match="no attribute 'shapes_of'"):
        analysis.shapes_of  # noqa: B018


@pytest.mark.parametrize("room", ALLOWED)
def test_each_room_imports_alone(room):
    loaded_after(f"import actsearch.{room}")


def test_the_check_sees_what_it_should(tmp_path):
    (tmp_path / "actsearch").mkdir()
    # Every room really has files, and the walker resolves relative imports.
    found = set(imported_from_package(PACKAGE / "primitives" / "lowering" / "eager.py"))
    assert "actsearch.primitives.expr.Expr" in found
    assert "actsearch.primitives.lowering.program.Program" in found
    found = set(imported_from_package(PACKAGE / "primitives" / "__init__.py"))
    assert "actsearch.primitives.parse.parse" in found
    assert all(any(p.relative_to(PACKAGE).parts[0] == room for p in modules()) for room in ALLOWED)
