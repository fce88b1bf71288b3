"""The kernel functions as text in Triton and in C++, made of their Python source."""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from . import kernel_functions, kernel_intrinsics, kernel_special_functions

# An operator and its function have one name, but where that would hide a function of Python.
_NAMES = {
    "abs": "absolute",
    "max": "maximum",
    "min": "minimum",
    "pow": "power",
    "round": "round_to_even",
    "sqrt": "square_root",
}

# `where` is written as tl.where at its place.
_TRITON_INTRINSICS = {
    "absolute": "return tl.abs(x)",
    "maximum": "return tl.maximum(x, y, propagate_nan=tl.PropagateNan.ALL)",
    "minimum": "return tl.minimum(x, y, propagate_nan=tl.PropagateNan.ALL)",
    "square_root": "return tl.sqrt(x)",
    "floor": "return tl.floor(x)",
    "copy_sign": "return as_float((as_int(x) & 0x7FFFFFFF) | (as_int(y) & -0x80000000))",
    "as_int": "return x.to(tl.int32, bitcast=True)",
    "as_float": "return i.to(tl.float32, bitcast=True)",
    "to_float": "return i.to(tl.float32)",
}

# Integers are unsigned, as the overflow of others is undefined. The comparisons are in the form
# that compilers turn into one instruction.
_CPP_PRELUDE = """\
#include <cstdint>
#include <cstring>
#include <limits>

namespace kernel {

// Functions of elements, for loops that a compiler makes vector instructions of.
#define KERNEL_FUNCTION [[gnu::always_inline]] static inline"""
_CPP_END = "#undef KERNEL_FUNCTION\n\n}  // namespace kernel"
_CPP_INTRINSICS = {
    "where": "return condition ? x : y;",
    "absolute": "return __builtin_fabsf(x);",
    "maximum": "return (x > y) | (x != x) ? x : y;",
    "minimum": "return (x < y) | (x != x) ? x : y;",
    "square_root": "return __builtin_sqrtf(x);",
    "floor": "return __builtin_floorf(x);",
    "copy_sign": "return __builtin_copysignf(x, y);",
    "as_int": "uint32_t i;\nstd::memcpy(&i, &x, 4);\nreturn i;",
    "as_float": "float x;\nstd::memcpy(&x, &i, 4);\nreturn x;",
    "to_float": "return static_cast<float>(static_cast<int32_t>(i));",
}
_CPP_TYPES = {"Float": "float", "Int": "uint32_t", "Truth": "bool"}
_CPP_SIGNS: dict[type[ast.AST], tuple[str, int]] = {
    ast.BitOr: ("|", 1),
    ast.BitXor: ("^", 2),
    ast.BitAnd: ("&", 3),
    ast.Eq: ("==", 4),
    ast.NotEq: ("!=", 4),
    ast.Lt: ("<", 5),
    ast.LtE: ("<=", 5),
    ast.Gt: (">", 5),
    ast.GtE: (">=", 5),
    ast.LShift: ("<<", 6),
    ast.Add: ("+", 7),
    ast.Sub: ("-", 7),
    ast.Mult: ("*", 8),
    ast.Div: ("/", 8),
}
_SIGN, _ATOM = 9, 10
_NOT_FINITE = {
    "inf": "std::numeric_limits<float>::infinity()",
    "nan": "std::numeric_limits<float>::quiet_NaN()",
}


def function_name(operator: str) -> str:
    """What the function of an operator is called in both languages."""
    return _NAMES.get(operator, operator)


def triton_text(names: Iterable[str]) -> str:
    """The functions of these operators, and all that they call, for a Triton module.

    Args:
        names: of operators; `function_name` says what their functions are called.

    Returns:
        `@triton.jit` functions of float32 tensors, in the layout of `ruff format` with lines of
        100. The module has to import triton, and triton.language as tl.

    Raises:
        KeyError: there is no function for a name.
        SyntaxError: a function is not in the common subset of the languages.
    """
    return "\n\n\n".join(_triton(function) for function in _called(names, {"where"}))


def cpp_text(names: Iterable[str]) -> str:
    """The functions of these operators, and all that they call, as a C++17 header.

    Args and errors as of `triton_text`.

    Returns:
        Inline functions of float, in the namespace `kernel`, for GCC and Clang.
    """
    functions = [_cpp(function) for function in _called(names, set())]
    return "\n\n".join((_CPP_PRELUDE, *functions, _CPP_END))


@dataclass(frozen=True, eq=False)
class _Function:
    """A function in Python: its syntax tree, the lines of its source, and what it calls."""

    tree: ast.FunctionDef
    lines: tuple[str, ...]
    comments: dict[int, str]
    calls: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.tree.name

    @property
    def arguments(self) -> list[str]:
        return [argument.arg for argument in self.tree.args.args]

    def comments_up_to(self, node: ast.stmt) -> Iterator[str]:
        """Comments on lines of their own between a statement and the one before it."""
        before = max(
            (other.end_lineno or 0 for other in self.tree.body if other.lineno < node.lineno),
            default=self.tree.lineno,
        )
        for line in range(before + 1, node.lineno):
            if line in self.comments:
                yield self.comments[line]

    def error(self, node: ast.AST, about: str) -> SyntaxError:
        return SyntaxError(f"{about} in the kernel function {self.name}: {ast.unparse(node)}")


@cache
def _functions() -> dict[str, _Function]:
    """All functions by name, each after those that it calls."""
    found: dict[str, _Function] = {}
    for module in (kernel_intrinsics, kernel_functions, kernel_special_functions):
        source = inspect.getsource(module)
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        comments = {t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT}
        lines = source.splitlines()
        for tree in ast.parse(source).body:
            if isinstance(tree, ast.FunctionDef):
                own = tuple(lines[tree.lineno - 1 : tree.end_lineno])
                called = () if module is kernel_intrinsics else tuple(_names_called(tree))
                found[tree.name] = _Function(tree, own, comments, called)
    return found


def _names_called(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def _called(names: Iterable[str], left_out: set[str]) -> list[_Function]:
    """The functions of operators and all that they call, in the order of definition."""
    functions = _functions()
    needed: set[str] = set()
    waiting = [function_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in needed or name in left_out:
            continue
        if name not in functions:
            raise KeyError(f"there is no kernel function '{name}'")
        needed.add(name)
        calls = functions[name].calls
        if name in _TRITON_INTRINSICS:
            calls = tuple(_names_called(ast.parse(_TRITON_INTRINSICS[name].replace("return ", ""))))
        waiting += [call for call in calls if call != "float"]
    return [function for function in functions.values() if function.name in needed]


def _head(function: _Function) -> str:
    return f"@triton.jit\ndef {function.name}({', '.join(function.arguments)}):\n"


def _triton(function: _Function) -> str:
    if function.name in _TRITON_INTRINSICS:
        about = f'    """{ast.get_docstring(function.tree)}"""\n'
        return f"{_head(function)}{about}    {_TRITON_INTRINSICS[function.name]}"
    _cpp_body(function)  # for its errors
    body = "\n".join(function.lines[function.tree.body[0].lineno - function.tree.lineno :])
    return _head(function) + re.sub(r"\bwhere\(", "tl.where(", body)


def _cpp(function: _Function) -> str:
    about = inspect.cleandoc(ast.get_docstring(function.tree) or "")
    comment = "".join(f"// {line}".rstrip() + "\n" for line in about.splitlines())
    arguments = ", ".join(
        f"{_cpp_type(function, argument.annotation)} {argument.arg}"
        for argument in function.tree.args.args
    )
    head = f"{_cpp_type(function, function.tree.returns)} {function.name}({arguments})"
    intrinsic = _CPP_INTRINSICS.get(function.name)
    body = _cpp_body(function) if intrinsic is None else intrinsic.splitlines()
    lines = "".join(f"    {line}\n" for line in body)
    return f"{comment}KERNEL_FUNCTION {head} {{\n{lines}}}"


def _cpp_body(function: _Function) -> list[str]:
    lines: list[str] = []
    taken = {*function.arguments, *_functions()}
    for node in function.tree.body[1:]:
        lines += [comment.replace("#", "//", 1) for comment in function.comments_up_to(node)]
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if name in taken:
                    raise function.error(node, "a name is assigned twice")
                taken.add(name)
                lines.append(f"const auto {name} = {_cpp_expression(function, value, 0)};")
            case ast.Return(value=ast.expr() as value):
                lines.append(f"return {_cpp_expression(function, value, 0)};")
            case _:
                raise function.error(node, "a statement is neither an assignment nor a return")
    return lines


def _cpp_type(function: _Function, annotation: ast.expr | None) -> str:
    if not isinstance(annotation, ast.Name) or annotation.id not in _CPP_TYPES:
        raise function.error(function.tree.args, "an argument or result is not Float, Int or Truth")
    return _CPP_TYPES[annotation.id]


def _cpp_expression(function: _Function, node: ast.expr, least: int) -> str:
    """The expression, in parentheses if it binds less than `least`."""
    text, level = _cpp_term(function, node)
    return text if level >= least else f"({text})"


def _cpp_term(function: _Function, node: ast.expr) -> tuple[str, int]:
    match node:
        case ast.Name(id=name):
            return name, _ATOM
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int(number)):
            return (hex(number) if number > 99 else str(number)), _ATOM
        case ast.Constant(value=float(number)):
            return f"{np.float32(number)!s}f", _ATOM
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"-{_cpp_expression(function, operand, _SIGN)}", _SIGN
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _CPP_SIGNS:
            return _cpp_infix(function, left, sign, right)
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in _CPP_SIGNS:
            return _cpp_infix(function, left, sign, right)
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value=str(word))]):
            if word in _NOT_FINITE:
                return _NOT_FINITE[word], _ATOM
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _functions():
            texts = [_cpp_expression(function, argument, 0) for argument in arguments]
            return f"{name}({', '.join(texts)})", _ATOM
    raise function.error(node, "what the languages do not have in common is used")


def _cpp_infix(
    function: _Function, left: ast.expr, sign: ast.operator | ast.cmpop, right: ast.expr
) -> tuple[str, int]:
    text, level = _CPP_SIGNS[type(sign)]
    # Compilers warn of bit operations and shifts beside others without parentheses.
    inner = level if level in (7, 8) else _SIGN
    first = _cpp_expression(function, left, inner)
    second = _cpp_expression(function, right, inner + 1 if inner == level else inner)
    return f"{first} {text} {second}", level
