"""Expressions as text: the canonical call form, and infix for people."""

from __future__ import annotations

from .expr import Apply, Constant, Expr, Input, Parameter, Scope

_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4}
_NEGATION = 3
_ATOM = 5


def call_form(expr: Expr) -> str:
    """The canonical text, such as `mul(x, sigmoid(mul(1.702, x)))`."""
    if isinstance(expr, Apply):
        return f"{expr.operator.name}({', '.join(call_form(a) for a in expr.arguments)})"
    return _leaf(expr)


def infix(expr: Expr) -> str:
    """The text with the usual signs, such as `x*sigmoid(1.702*x)`; parses to the same tree."""
    return _infix(expr)[0]


def number(value: float) -> str:
    """Shortest text that reads back to the same float, without a trailing `.0`."""
    text = repr(float(value))
    return text.removesuffix(".0")


def _leaf(expr: Expr) -> str:
    match expr:
        case Input(name):
            return name
        case Constant(value):
            return number(value)
        case Parameter(name, initial, scope):
            scope_text = ", channel" if scope is Scope.CHANNEL else ""
            return f"{name}[{number(initial)}{scope_text}]"
    raise TypeError(f"cannot print a node of kind {type(expr).__name__}")


def _infix(expr: Expr) -> tuple[str, int]:
    if not isinstance(expr, Apply):
        negative = isinstance(expr, Constant) and _leaf(expr).startswith("-")
        return _leaf(expr), _NEGATION if negative else _ATOM
    sign = expr.operator.infix
    if sign:
        level = _PRECEDENCE[sign]
        left, right = expr.arguments
        # All signs associate to the left but ^, whose left side is therefore wrapped when equal.
        left_text = _wrapped(left, level + (sign == "^"))
        right_text = _wrapped(right, level + (sign != "^"))
        space = " " if level == 1 else ""
        return f"{left_text}{space}{sign}{space}{right_text}", level
    if expr.operator.name == "neg" and not isinstance(expr.arguments[0], Constant):
        return f"-{_wrapped(expr.arguments[0], _NEGATION)}", _NEGATION
    return f"{expr.operator.name}({', '.join(infix(a) for a in expr.arguments)})", _ATOM


def _wrapped(expr: Expr, least: int) -> str:
    text, level = _infix(expr)
    return text if level >= least else f"({text})"
