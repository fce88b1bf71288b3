"""Expressions built with what vanishes left out: 0 times anything is 0 here.

A branch that is not taken must not leave a product of 0 and an overflow behind.
"""

from __future__ import annotations

from ...expr import Apply, Constant, Expr
from ...operators import OPERATORS
from ...rewrite.stable import folded


def constant(value: float) -> Constant:
    return Constant(float(value))


def negative(a: Expr) -> Expr:
    return call("neg", a)


def add(a: Expr, b: Expr) -> Expr:
    return call("add", a, b)


def subtract(a: Expr, b: Expr) -> Expr:
    return call("sub", a, b)


def multiply(a: Expr, b: Expr) -> Expr:
    return call("mul", a, b)


def divide(a: Expr, b: Expr) -> Expr:
    return call("div", a, b)


def call(name: str, *arguments: Expr) -> Expr:
    """The operator applied, constants folded, and 0 and 1 taken out of sums and products."""
    node = Apply(OPERATORS[name], arguments)
    if all(isinstance(a, Constant) for a in arguments):
        return folded(node)
    zero, one = Constant(0.0), Constant(1.0)
    match name, arguments:
        case (("mul" | "chain"), _) if zero in arguments:
            return zero
        case "div", (a, _) if a == zero:
            return zero
        case "add" | "sub", (a, b) if b == zero:
            return a
        case "add", (a, b) if a == zero:
            return b
        case "sub", (a, b) if a == zero:
            return call("neg", b)
        case "sub", (a, b) if a == b:
            return zero
        case (("mul" | "chain"), (a, b)) if a == one:
            return b
        case (("mul" | "chain" | "div"), (a, b)) if b == one:
            return a
        case "neg", (Apply(operator, (inner,)),) if operator.name == "neg":
            return inner
    return node
