"""Text to expression. Text is hostile: it is read by this parser alone and never evaluated.

Grammar (`**` is `^`; the power binds tightest and to the right):

    sum      = product { ("+" | "-") product }
    product  = negation { ("*" | "/") negation }
    negation = "-" negation | power
    power    = atom [ "^" negation ]
    atom     = NUMBER | "(" sum ")" | NAME | NAME "(" sum { "," sum } ")"
             | NAME "(" [ sum { "," sum } "," ] value { "," value } ")"
             | NAME "[" ["-"] NUMBER [ "," ("channel" | "tensor") ] "]"
    value    = NAME "=" sum

A name is an input (`x`; or `u` and `v`), `pi`, an operator, a known function given by the caller,
or a trainable parameter, which is written with its initial value, as `beta[1]` or
`beta[0.25, channel]`; once it has been written so, `beta` alone means the same one. A call may
give parameters of a known function other values, a number or a trainable parameter each, as in
`snake(2*x, a=5)`; then it may leave out the inputs, and `snake(a=5)` is `snake(x, a=5)`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import NoReturn

import torch
from torch import Tensor

from ..errors import ParseError
from .expr import (
    Apply,
    Constant,
    Expr,
    Input,
    Parameter,
    Scope,
    depth,
    inputs,
    node_count,
    parameters,
    postorder,
)
from .layer_words import layer_problem, layer_words
from .named_function import NamedFunction
from .operators import WORDS, did_you_mean

MAX_LENGTH = 10_000
MAX_DEPTH = 64
MAX_NODES = 1_000

_INPUTS = ("x", "u", "v")
_TOKEN = re.compile(
    r"(?P<number>(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\*\*|[-+*/^(),=\[\]])",
    re.ASCII,
)
_SHOWN = 60


def parse(
    text: str,
    functions: Mapping[str, NamedFunction] | None = None,
    input_names: tuple[str, ...] = _INPUTS,
) -> Expr:
    """Read a formula in call form or infix.

    Args:
        text: for example `mul(x, sigmoid(mul(1.702, x)))` or `x*sigmoid(1.702*x)`.
        functions: known functions that may be called by name, such as `silu`.
        input_names: names that stand for inputs, or for fixed parameters of a known function.

    Raises:
        ParseError: the text is not a formula, or is longer than MAX_LENGTH characters, deeper
            than MAX_DEPTH levels or larger than MAX_NODES nodes; the message gives the line
            and column.
    """
    if not isinstance(text, str):
        raise ParseError(f"a formula must be text, got {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise ParseError(f"formula of {len(text):,} characters; at most {MAX_LENGTH:,} are allowed")
    if not text.strip():
        raise ParseError("the formula is empty; write for example 'x*sigmoid(x)'")
    expr = _Parser(text, functions or {}, input_names).formula()
    used = inputs(expr)
    if "x" in used and len(used) > 1 and input_names == _INPUTS:
        raise ParseError(
            f"formula mixes the inputs {', '.join(used)}; use x alone, or u and v for a gated unit"
        )
    problem = layer_problem(expr) if input_names == _INPUTS else ""
    if problem:
        raise ParseError(problem)
    return expr


class _Parser:
    def __init__(
        self, text: str, functions: Mapping[str, NamedFunction], input_names: tuple[str, ...]
    ):
        self.text = text
        self.functions = functions
        self.input_names = input_names
        self.parameters: dict[str, Parameter] = {}
        self.tokens = self._tokens()
        self.position = 0
        self.level = 0

    def _tokens(self) -> list[tuple[str, str, int]]:
        found, offset = [], 0
        while offset < len(self.text):
            if self.text[offset].isspace():
                offset += 1
                continue
            match = _TOKEN.match(self.text, offset)
            if match is None:
                character = self.text[offset]
                hint = "" if character.isascii() else "; formulas are plain ASCII"
                self.fail(f"unexpected character {character!a}", offset, hint)
            found.append((str(match.lastgroup), match.group(), offset))
            offset = match.end()
        return [*found, ("end", "", len(self.text))]

    def fail(self, problem: str, offset: int, hint: str = "") -> NoReturn:
        line = self.text.count("\n", 0, offset) + 1
        column = offset - (self.text.rfind("\n", 0, offset) + 1) + 1
        where = f"line {line}, column {column}" if "\n" in self.text.strip() else f"column {column}"
        start = max(0, min(offset - _SHOWN // 2, len(self.text) - _SHOWN))
        shown = self.text[start : start + _SHOWN]
        shown = ("…" if start else "") + shown + ("…" if start + _SHOWN < len(self.text) else "")
        shown = "".join(c if c.isprintable() else "?" for c in " ".join(shown.split()))
        raise ParseError(f"{problem} at {where} of '{shown}'{hint}")

    @property
    def token(self) -> tuple[str, str, int]:
        return self.tokens[self.position]

    def take(self, sign: str) -> bool:
        if self.token[0] == "sign" and self.token[1] == sign:
            self.position += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.take(sign):
            _, word, offset = self.token
            self.fail(f"expected '{sign}', got {_named(word)}", offset)

    def apply(self, name: str, arguments: tuple[Expr, ...], offset: int) -> Expr:
        return self.limited(Apply(WORDS[name], arguments), offset)

    def limited(self, expr: Expr, offset: int) -> Expr:
        # Checked while the tree grows: comparing two equal trees of 5,000 levels would exhaust
        # the stack before a check at the end is reached.
        if depth(expr) > MAX_DEPTH:
            self.fail(f"formula more than {MAX_DEPTH} levels deep", offset)
        if node_count(expr) > MAX_NODES:
            self.fail(f"formula of more than {MAX_NODES:,} nodes", offset)
        return expr

    def formula(self) -> Expr:
        expr = self.sum()
        kind, word, offset = self.token
        if kind != "end":
            hint = ""
            if word == ")":
                hint = "; every ')' needs its '('"
            elif word == "=":
                hint = "; '=' stands in a call, as in snake(a=5)"
            elif kind != "sign" or word == "(":
                hint = "; a product is written with '*'"
            self.fail(f"expected an operator or the end, got '{_short(word)}'", offset, hint)
        return expr

    def sum(self) -> Expr:
        return self.left_associative({"+": "add", "-": "sub"}, self.product)

    def product(self) -> Expr:
        return self.left_associative({"*": "mul", "/": "div"}, self.negation)

    def left_associative(self, signs: dict[str, str], operand: Callable[[], Expr]) -> Expr:
        expr = operand()
        while self.token[0] == "sign" and self.token[1] in signs:
            _, sign, offset = self.token
            self.position += 1
            expr = self.apply(signs[sign], (expr, operand()), offset)
        return expr

    def negation(self) -> Expr:
        offset = self.token[2]
        if not self.take("-"):
            return self.power()
        self.enter(offset)
        operand = self.negation()
        self.level -= 1
        # A negative number is one constant, unless it was the base of a power: -2^2 is -(2^2).
        if isinstance(operand, Constant) and self.tokens[self.position - 1][0] == "number":
            return Constant(-operand.value)
        return self.apply("neg", (operand,), offset)

    def power(self) -> Expr:
        base = self.atom()
        offset = self.token[2]
        if self.take("^") or self.take("**"):
            self.enter(offset)
            exponent = self.negation()
            self.level -= 1
            return self.apply("pow", (base, exponent), offset)
        return base

    def atom(self) -> Expr:
        kind, word, offset = self.token
        self.position += 1
        if kind == "number":
            value = float(word)
            if not math.isfinite(value):
                self.fail(f"number '{_short(word)}' is too large", offset)
            return Constant(value)
        if kind == "name":
            if self.take("("):
                return self.call(word, offset)
            if self.take("["):
                return self.parameter(word, offset)
            return self.bare_name(word, offset)
        if kind == "sign" and word == "(":
            self.enter(offset)
            expr = self.sum()
            self.expect(")")
            self.level -= 1
            return expr
        self.fail(f"expected a number, a name or '(', got {_named(word)}", offset)

    def enter(self, offset: int) -> None:
        self.level += 1
        if self.level > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} levels deep", offset)

    def call(self, name: str, offset: int) -> Expr:
        self.enter(offset)
        arguments: list[Expr] = []
        values: dict[str, tuple[Expr, int]] = {}
        while (not arguments and not values) or self.take(","):
            self.argument(name, arguments, values)
        self.expect(")")
        self.level -= 1
        if name in WORDS and not (values and name in self.functions):
            for value_name, (_, place) in values.items():
                self.fail(f"'{name}' has no parameter '{_short(value_name)}'", place)
            self.check_arity(name, WORDS[name].arity, len(arguments), offset)
            return self.apply(name, tuple(arguments), offset)
        if name in self.functions:
            return self.expand(name, arguments, values, offset)
        known = [*WORDS, *self.functions]
        self.fail(f"unknown operator '{_short(name)}'", offset, did_you_mean(name, known))

    def argument(
        self, name: str, arguments: list[Expr], values: dict[str, tuple[Expr, int]]
    ) -> None:
        """Read one argument of a call, or one value for a parameter."""
        kind, word, offset = self.token
        if kind != "name" or self.tokens[self.position + 1][1] != "=":
            if values:
                self.fail("an argument without a name stands after one with a name", offset)
            arguments.append(self.sum())
            return
        self.position += 2
        if word in values:
            self.fail(f"'{_short(word)}' is given twice in '{_short(name)}'", offset)
        values[word] = self.sum(), offset

    def check_arity(self, name: str, arity: int, got: int, offset: int, hint: str = "") -> None:
        if got != arity:
            plural = "s" if arity > 1 else ""
            self.fail(f"'{name}' takes {arity} argument{plural}, got {got}", offset, hint)

    def expand(
        self,
        name: str,
        arguments: list[Expr],
        values: Mapping[str, tuple[Expr, int]],
        offset: int,
    ) -> Expr:
        function = self.functions[name]
        settable = function.settable
        if arguments or not values:
            hint = ""
            if settable and len(arguments) > len(function.inputs):
                own = ", ".join(function.inputs)
                hint = f"; a parameter is given by its name, as in {name}({own}, {settable[0]}=2)"
            self.check_arity(name, len(function.inputs), len(arguments), offset, hint)
        else:
            arguments = [Input(own) for own in function.inputs]
        checked = {}
        for given, (value, place) in values.items():
            if given not in settable:
                has = f"; it has {', '.join(settable)}" if settable else "; it has none"
                hint = did_you_mean(given, settable) or has
                self.fail(f"'{name}' has no parameter '{_short(given)}'", place, hint)
            checked[given] = self.value(name, given, value, place)
        applied = function.applied(dict(zip(function.inputs, arguments, strict=True)), checked)
        for inner in parameters(applied):
            if self.parameters.setdefault(inner.name, inner) != inner:
                self.conflict(inner.name, offset)
        return self.limited(applied, offset)

    def value(self, name: str, given: str, value: Expr, offset: int) -> Expr:
        """What a call gives for a parameter; a sum of numbers and the like is one number."""
        is_fixed_parameter = isinstance(value, Input) and value.name not in _INPUTS
        if isinstance(value, Parameter) or is_fixed_parameter:
            return value
        if inputs(value) or parameters(value) or layer_words(value):
            self.fail(
                f"'{_short(given)}' of '{name}' must be a number or a trainable parameter",
                offset,
                f", as in {name}({given}=2) or {name}({given}=beta[2])",
            )
        number = _number(value)
        if not math.isfinite(number):
            self.fail(f"'{_short(given)}' of '{name}' must be finite, got {number}", offset)
        return Constant(number)

    def parameter(self, name: str, offset: int) -> Expr:
        if name in self.input_names or name in WORDS or name in self.functions or name == "pi":
            self.fail(f"'{_short(name)}' is taken and cannot name a trainable parameter", offset)
        negative = self.take("-")
        kind, word, number_offset = self.token
        if kind != "number" or not math.isfinite(float(word)):
            self.fail("expected an initial value, as in beta[1]", number_offset)
        self.position += 1
        scope = Scope.TENSOR
        if self.take(","):
            _, word_scope, scope_offset = self.token
            if word_scope not in set(Scope):
                self.fail(f"expected channel or tensor, got {_named(word_scope)}", scope_offset)
            scope = Scope(word_scope)
            self.position += 1
        self.expect("]")
        try:
            made = Parameter(name, -float(word) if negative else float(word), scope)
        except ValueError as error:
            self.fail(str(error), offset)
        if self.parameters.setdefault(name, made) != made:
            self.conflict(name, offset)
        return made

    def conflict(self, name: str, offset: int) -> NoReturn:
        self.fail(f"trainable parameter '{_short(name)}' was given another initial value", offset)

    def bare_name(self, name: str, offset: int) -> Expr:
        if name in self.input_names:
            return Input(name)
        if name == "pi":
            return Constant(math.pi)
        if name in self.parameters:
            return self.parameters[name]
        if name in WORDS or name in self.functions:
            known = self.functions.get(name)
            own = ", ".join(known.inputs) if known and name not in WORDS else "x"
            self.fail(f"'{name}' needs its argument, as in {name}({own})", offset)
        names = [*self.input_names, *WORDS, *self.functions, *self.parameters]
        shown = _short(name)
        hint = f"; a trainable parameter is written {shown}[1]{did_you_mean(name, names)}"
        self.fail(f"unknown name '{shown}'", offset, hint)


def _number(expr: Expr) -> float:
    """A formula of numbers alone, in float64."""
    built: dict[Expr, Tensor] = {}
    for node in postorder(expr):
        if isinstance(node, Constant):
            built[node] = torch.tensor(node.value, dtype=torch.float64)
        elif isinstance(node, Apply):
            built[node] = node.operator.value(*(built[a] for a in node.arguments))
    return float(built[expr])


def _short(word: str) -> str:
    return word if len(word) <= _SHOWN else word[: _SHOWN - 1] + "…"


def _named(word: str) -> str:
    return f"'{_short(word)}'" if word else "the end"
