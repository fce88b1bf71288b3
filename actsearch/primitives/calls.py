"""Calls in a formula: positional arguments, and values of parameters by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .expr import Apply, Constant, Expr, Input, Parameter
from .layer_words import number_of
from .named_function import NamedFunction
from .operators import WORDS, did_you_mean
from .tokens import Tokens, short

INPUTS = ("x", "u", "v")


@dataclass
class Call:
    """A call as it is written.

    Args:
        offset: of the name in the text.
        values: what is given to each parameter, and the offset of its name.
    """

    name: str
    offset: int
    arguments: list[Expr] = field(default_factory=list)
    values: dict[str, tuple[Expr, int]] = field(default_factory=dict)


def read_call(tokens: Tokens, name: str, offset: int, formula: Callable[[], Expr]) -> Call:
    """Read a call from behind its opening bracket to its closing one.

    Args:
        formula: reads one argument.

    Raises:
        ParseError: a positional argument stands after a named one, or a name stands twice.
    """
    call = Call(name, offset)
    while not (call.arguments or call.values) or tokens.take(","):
        kind, word, place = tokens.current
        if kind != "name" or tokens.following[1] != "=":
            if call.values:
                tokens.fail("an argument without a name stands after one with a name", place)
            call.arguments.append(formula())
            continue
        tokens.position += 2
        if word in call.values:
            tokens.fail(f"'{short(word)}' is given twice in '{short(name)}'", place)
        call.values[word] = formula(), place
    tokens.expect(")")
    return call


def called(call: Call, functions: Mapping[str, NamedFunction], tokens: Tokens) -> Expr:
    """The expression that a call stands for.

    Raises:
        ParseError: neither a word of formulas nor a known function has that name, or it takes
            other arguments.
    """
    name = call.name
    if name in WORDS and not (call.values and name in functions):
        for given, (_, place) in call.values.items():
            tokens.fail(f"'{name}' has no parameter '{short(given)}'", place)
        _check_arity(call, WORDS[name].arity, tokens)
        return Apply(WORDS[name], tuple(call.arguments))
    if name in functions:
        return _expanded(call, functions[name], tokens)
    hint = did_you_mean(name, [*WORDS, *functions])
    tokens.fail(f"unknown operator '{short(name)}'", call.offset, hint)


def _check_arity(call: Call, arity: int, tokens: Tokens, hint: str = "") -> None:
    got = len(call.arguments)
    if got != arity:
        plural = "s" if arity > 1 else ""
        tokens.fail(f"'{call.name}' takes {arity} argument{plural}, got {got}", call.offset, hint)


def _expanded(call: Call, function: NamedFunction, tokens: Tokens) -> Expr:
    name, arguments, settable = call.name, call.arguments, function.settable
    if arguments or not call.values:
        hint = ""
        if settable and len(arguments) > len(function.inputs):
            own = ", ".join(function.inputs)
            hint = f"; a parameter is given by its name, as in {name}({own}, {settable[0]}=2)"
        _check_arity(call, len(function.inputs), tokens, hint)
    else:
        arguments = [Input(own) for own in function.inputs]
    checked = {}
    for given, (value, place) in call.values.items():
        if given not in settable:
            has = f"; it has {', '.join(settable)}" if settable else "; it has none"
            hint = did_you_mean(given, settable) or has
            tokens.fail(f"'{name}' has no parameter '{short(given)}'", place, hint)
        checked[given] = _value(name, given, value, place, tokens)
    return function.applied(dict(zip(function.inputs, arguments, strict=True)), checked)


def _value(name: str, given: str, value: Expr, offset: int, tokens: Tokens) -> Expr:
    """What a call gives for a parameter; a sum of numbers and the like is one number."""
    is_fixed_parameter = isinstance(value, Input) and value.name not in INPUTS
    if isinstance(value, Parameter) or is_fixed_parameter:
        return value
    number = number_of(value)
    if number is None:
        tokens.fail(
            f"'{short(given)}' of '{name}' must be a number or a trainable parameter",
            offset,
            f", as in {name}({given}=2) or {name}({given}=beta[2])",
        )
    if not math.isfinite(number):
        tokens.fail(f"'{short(given)}' of '{name}' must be finite, got {number}", offset)
    return Constant(number)
