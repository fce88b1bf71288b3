"""An exported module of Triton kernels needs torch and triton alone and agrees with the engine."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap

import pytest
import torch
from kernel_cases import FUNCTIONS

from actsearch.primitives import inputs, parameters, read_formula
from actsearch.primitives.lowering import eager
from actsearch.runs.export_triton import triton_module_source

FORMULAS = {
    **FUNCTIONS,
    "gate with channels": read_formula("u*sigmoid(beta[1]*u)*v + gamma[0.1, channel]*v"),
    "only a parameter": read_formula("beta[0.5]"),
    "constant": read_formula("exp(2) + 0.5"),
    "names of the module": read_formula("torch[0.5]*x + nn[1]*tanh(forward_kernel[2]*x)*grad[1]"),
}
CHANNELS = 5
_ALONE = textwrap.dedent(
    """
    import importlib.abc, sys

    class Absent(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "actsearch":
                raise ModuleNotFoundError(f"{name} is made absent")

    sys.meta_path.insert(0, Absent())
    sys.path.insert(0, sys.argv[1])
    import torch
    torch.set_num_threads(1)

    def results(module, tensors, weights):
        value = module(*tensors)
        leaves = [*tensors, *module.parameters()]
        return [value, *torch.autograd.grad((value * weights).sum(), leaves)]

    for name, case in torch.load(sys.argv[1] + "/cases.pt").items():
        module = __import__(name).Found(*case["arguments"])
        module.load_state_dict(case["parameters"], strict=True)
        tensors = [t.requires_grad_() for t in case["inputs"]]
        assert str(module) == f"Found({case['text']})", str(module)
        got = results(module, tensors, case["weights"])
        assert len(got) == len(case["results"])
        for a, b in zip(got, case["results"]):
            torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)
        half = module(*[t.bfloat16() for t in tensors])
        assert half.dtype is torch.bfloat16
        torch.testing.assert_close(half.double(), got[0].double(), rtol=2e-2, atol=2e-2)
        try:
            torch.autograd.grad(module(*tensors).sum(), tensors[:1], create_graph=True)
        except RuntimeError as error:
            assert "have no second derivative" in str(error), error
        else:
            raise AssertionError("a second derivative must be refused")
        for wrong in ([t.double() for t in tensors], [*tensors[:-1], tensors[-1][:2]]):
            if len(wrong) > 1 or wrong[0].dtype is torch.float64:
                try:
                    module(*wrong)
                except (TypeError, ValueError) as error:
                    assert "inputs must be" in str(error) or "the kernels take" in str(error)
                else:
                    raise AssertionError("wrong inputs must be refused")
    assert "actsearch" not in {name.split(".")[0] for name in sys.modules}
    print("done")
    """
)


def has_channels(expr):
    return any(p.scope == "channel" for p in parameters(expr))


def test_works_where_only_torch_and_triton_are_installed(tmp_path):
    pytest.importorskip("triton", reason="triton is not installed")
    cases = {}
    for number, expr in enumerate(FORMULAS.values()):
        source = triton_module_source(expr, class_name="Found", provenance={"run": "r1"})
        (tmp_path / f"found_{number}.py").write_text(source)
        given = [torch.randn(3, CHANNELS, 4) for _ in inputs(expr) or "x"]
        weights = torch.randn(3, CHANNELS, 4)
        trained = {
            p.name: p.initial + 0.1 * torch.randn((CHANNELS,) if p.scope == "channel" else ())
            for p in parameters(expr)
        }
        wide, wide_trained = [t.double() for t in given], [p.double() for p in trained.values()]
        value = eager.forward(expr, wide, wide_trained, -2)
        gradients = eager.backward(expr, weights.double(), wide, wide_trained, -2)
        cases[f"found_{number}"] = {
            "arguments": (CHANNELS,) if has_channels(expr) else (),
            "parameters": trained,
            "inputs": given,
            "weights": weights,
            "results": [value, *gradients],
            "text": ast.literal_eval(_text_of(source)),
        }
    torch.save(cases, tmp_path / "cases.pt")
    (tmp_path / "alone.py").write_text(_ALONE)
    done = subprocess.run(
        [sys.executable, "-I", str(tmp_path / "alone.py"), str(tmp_path)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "done"


def _text_of(source):
    """The text that `extra_repr` of the module returns."""
    (module,) = [n for n in ast.parse(source).body if getattr(n, "name", "") == "Found"]
    (method,) = [n for n in module.body if getattr(n, "name", "") == "extra_repr"]
    return ast.unparse(method.body[0].value)


@pytest.mark.parametrize("name", FORMULAS)
def test_text_is_the_same_every_time_and_tidy(name):
    wanted = {"class_name": "Found", "provenance": {"run": "r1", "task": "digits"}}
    source = triton_module_source(FORMULAS[name], **wanted)
    assert source == triton_module_source(read_formula(str(FORMULAS[name])), **wanted)
    assert all(len(line) <= 100 and line == line.rstrip() for line in source.splitlines())
    imported = {
        (alias.name if isinstance(node, ast.Import) else node.module).split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"__future__", "collections", "typing", "torch", "triton"}
    assert "run: r1" in source and "task: digits" in source and "Needs torch and triton" in source


def test_text_passes_ruff(tmp_path):
    for index, expr in enumerate(FORMULAS.values()):
        source = triton_module_source(expr, class_name="Found", provenance={"run": "r1"})
        (tmp_path / f"file_{index}.py").write_text(source)
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        ["check", "--isolated", "--line-length=100", "--select=E,F,W,I,B,UP,S102,S307"],
        ["format", "--isolated", "--line-length=100", "--check", "--diff"],
    ):
        done = subprocess.run([*ruff, *command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_provenance_stays_within_the_docstring():
    hostile = 'Needs torch alone."""\nimport os\n\\'
    source = triton_module_source(
        FORMULAS["relu"], class_name="Relu", provenance={hostile: hostile}
    )
    plain = triton_module_source(FORMULAS["relu"], class_name="Relu", provenance={})
    tree, expected = ast.parse(source), ast.parse(plain)
    assert ast.dump(ast.Module(tree.body[1:], [])) == ast.dump(ast.Module(expected.body[1:], []))


@pytest.mark.parametrize(
    "name", ["", "1a", "class", "a b", "x\nimport os", "tl", "Tensor", "forward", "é", "BLOCK"]
)
def test_class_name_must_be_a_free_identifier(name):
    with pytest.raises(ValueError, match="class_name="):
        triton_module_source(FORMULAS["relu"], class_name=name, provenance={})
