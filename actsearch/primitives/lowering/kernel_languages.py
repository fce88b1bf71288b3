"""The kernel functions as text of another language: Triton, or C++ for the CPU.

Both are made from the Python source of `kernel_functions` and `kernel_special_functions`, which
keeps to what the three languages have in common.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from . import kernel_functions, kernel_special_functions

# Operators whose names mean something else in Python or Triton.
_OTHER_NAMES = {"max": "maximum", "min": "minimum", "abs": "absolute", "pow": "power"}

_TRITON_NAMES = {
    "where": "tl.where",
    "magnitude": "tl.abs",
    "root": "tl.sqrt_rn",
    "floor": "tl.floor",
    "fma": "tl.fma",
}
_TRITON_INTRINSICS = {
    "larger": "def larger(x, y):\n    return tl.maximum(x, y, propagate_nan=tl.PropagateNan.ALL)",
    "smaller": "def smaller(x, y):\n    return tl.minimum(x, y, propagate_nan=tl.PropagateNan.ALL)",
    "as_int": "def as_int(x):\n    return x.to(tl.int32, bitcast=True)",
    "as_float": "def as_float(i):\n    return i.to(tl.float32, bitcast=True)",
    "to_int": "def to_int(x):\n    return x.to(tl.int32)",
    "to_float": "def to_float(i):\n    return i.to(tl.float32)",
}
_CPP_INTRINSICS = """
#include <cstdint>
#include <cstring>

namespace kernel {

#define INLINE static inline __attribute__((always_inline))

INLINE float larger(float x, float y) { return (x > y) | (x != x) ? x : y; }
INLINE float smaller(float x, float y) { return (x < y) | (x != x) ? x : y; }
INLINE float magnitude(float x) { return __builtin_fabsf(x); }
INLINE float root(float x) { return __builtin_sqrtf(x); }
INLINE float floor(float x) { return __builtin_floorf(x); }
INLINE float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
INLINE int32_t to_int(float x) { return (int32_t)x; }
INLINE float to_float(int32_t i) { return (float)i; }
INLINE int32_t as_int(float x) {
    int32_t i;
    std::memcpy(&i, &x, 4);
    return i;
}
INLINE float as_float(int32_t i) {
    float x;
    std::memcpy(&x, &i, 4);
    return x;
}
""".strip()
_INTRINSICS = frozenset((*_TRITON_NAMES, *_TRITON_INTRINSICS))


def function_name(operator: str) -> str:
    """What an operator is called in the texts."""
    return _OTHER_NAMES.get(operator, operator)


def triton_text(names: Iterable[str]) -> str:
    """Functions of these operators, and what they call, as `@triton.jit` functions.

    The text needs `import triton` and `import triton.language as tl` before it.

    Raises:
        KeyError: there is no kernel function for an operator.
    """
    needed = _needed(names)
    used = {name for function in needed for name in function.calls}
    parts = [f"@triton.jit\n{text}" for name, text in _TRITON_INTRINSICS.items() if name in used]
    return "\n\n\n".join([*parts, *(_triton_function(function) for function in needed)])


def cpp_text(names: Iterable[str]) -> str:
    """The same as inline functions of the C++ namespace `kernel`, with the includes they need.

    Raises:
        KeyError: there is no kernel function for an operator.
    """
    parts = [_CPP_INTRINSICS, *(_cpp_function(function) for function in _needed(names))]
    return "\n\n".join([*parts, "#undef INLINE", "}  // namespace kernel"])


@dataclass(frozen=True)
class _Function:
    """A kernel function: its Python text, its syntax tree, and what it calls."""

    text: str
    tree: ast.FunctionDef
    calls: frozenset[str]


@cache
def _functions() -> dict[str, _Function]:
    """All kernel functions, each after those that it calls."""
    found = {}
    for module in (kernel_functions, kernel_special_functions):
        source = inspect.getsource(module)
        for tree in ast.parse(source).body:
            if isinstance(tree, ast.FunctionDef):
                text = ast.get_source_segment(source, tree)
                assert text is not None
                calls = {
                    node.func.id
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                }
                found[tree.name] = _Function(text, tree, frozenset(calls))
    return found


def _needed(names: Iterable[str]) -> list[_Function]:
    functions = _functions()
    wanted = {function_name(name) for name in names}
    missing = wanted - functions.keys()
    if missing:
        raise KeyError(f"there is no kernel function {sorted(missing)[0]}")
    for name in reversed(functions):
        if name in wanted:
            wanted |= functions[name].calls - _INTRINSICS
    return [function for name, function in functions.items() if name in wanted]


def _triton_function(function: _Function) -> str:
    text = re.sub(r": Value|-> Value", "", function.text).replace(") :", "):")
    pattern = rf"\b({'|'.join(_TRITON_NAMES)})\("
    return "@triton.jit\n" + re.sub(pattern, lambda m: f"{_TRITON_NAMES[m[1]]}(", text)


def _cpp_function(function: _Function) -> str:
    tree = function.tree
    arguments = ", ".join(f"float {argument.arg}" for argument in tree.args.args)
    lines = []
    declared: set[str] = set()
    for statement in tree.body:
        match statement:
            case ast.Expr(ast.Constant(str(text))):
                lines += [f"// {line}".rstrip() for line in textwrap.dedent(text).splitlines()]
            case ast.Assign([ast.Name(name)], value):
                lines.append(f"{'' if name in declared else 'auto '}{name} = {_cpp(value)};")
                declared.add(name)
            case ast.Return(value) if value is not None:
                lines.append(f"return {_cpp(value)};")
            case _:
                raise _not_common(statement)
    body = "\n".join(f"    {line}" for line in lines)
    return f"INLINE float {tree.name}({arguments}) {{\n{body}\n}}"


_CPP_SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


def _cpp(node: ast.expr) -> str:
    match node:
        case ast.Name(name):
            return name
        case ast.Constant(float(number)):
            return f"{number!r}f"
        case ast.Constant(int(number)):
            return str(number)
        case ast.UnaryOp(ast.USub(), operand):
            return f"(-{_cpp(operand)})"
        case ast.BinOp(left, sign, right) | ast.Compare(left, [sign], [right]):
            return f"({_cpp(left)} {_CPP_SIGNS[type(sign)]} {_cpp(right)})"
        case ast.Call(ast.Name("where"), [condition, one, other]):
            return f"({_cpp(condition)} ? {_cpp(one)} : {_cpp(other)})"
        case ast.Call(ast.Name(name), arguments):
            return f"{name}({', '.join(map(_cpp, arguments))})"
    raise _not_common(node)


def _not_common(node: ast.AST) -> SyntaxError:
    return SyntaxError(f"'{ast.unparse(node)}' is not in the common language of kernel functions")
