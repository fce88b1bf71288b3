"""A program as straight lines of Triton code, and the layout of Python text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..expr import Constant, Expr
from .kernel_languages import function_name
from .program import Instruction, Program

WIDTH = 100
# What an inlined term may grow to before it becomes a local variable.
_INLINED = 64
_LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2}
_NEGATION, _ATOM = 3, 5
_SMALLEST = float(np.finfo(np.float32).tiny)
_LARGEST = float(np.finfo(np.float32).max)


class Names:
    """Names of one scope, none of them twice.

    Args:
        taken: what may not be used.
        endings: what a name may not end with.
    """

    def __init__(self, taken: Iterable[str], endings: tuple[str, ...] = ()) -> None:
        self._taken = set(taken)
        self._endings = endings

    def take(self, wanted: str) -> str:
        """The wanted name, with underscores after it if it may not be used."""
        while wanted in self._taken or wanted.endswith(self._endings):
            wanted += "_"
        self._taken.add(wanted)
        return wanted

    def temporaries(self) -> Iterator[str]:
        """t0, t1 and so on, without those that are taken."""
        counter = 0
        while True:
            if f"t{counter}" not in self._taken:
                yield f"t{counter}"
            counter += 1


def sign(instruction: Instruction) -> str:
    """The sign that stands for the operator in Triton code, or an empty string."""
    operator = instruction.operator
    if operator.name == "neg":
        return "-"
    return operator.infix if operator.infix in _LEVELS else ""


def straight_line(
    program: Program, names: Mapping[Expr, str], temporaries: Iterator[str]
) -> tuple[list[str], list[str]]:
    """Assignments, and then the results as terms; what is used once is written where it is used.

    Args:
        names: of the leaves that are not constants.
        temporaries: names for what is used more than once.
    """
    writer = _Writer(program, names, temporaries)
    results = [writer.result(slot) for slot in program.outputs]
    return writer.lines, results


def folded(
    head: str, items: Sequence[str], tail: str = "", *, margin: int = 0, brackets: str = "()"
) -> list[str]:
    """`head(items)tail`, on one line, or on three, or with an item on each.

    Args:
        margin: by how much the lines will be indented.
    """
    left, right = brackets[0], brackets[1]
    line = f"{head}{left}{', '.join(items)}{right}{tail}"
    if len(line) <= WIDTH - margin:
        return [line]
    inner = f"    {', '.join(items)}"
    if len(inner) <= WIDTH - margin:
        return [f"{head}{left}", inner, f"{right}{tail}"]
    return [f"{head}{left}", *(f"    {item}," for item in items), f"{right}{tail}"]


def wrapped(text: str, *, margin: int = 0, indent: int = 0, hanging: int = 0) -> list[str]:
    """The text in lines that are indented, later ones by `hanging` more."""
    first, later = " " * indent, " " * (indent + hanging)
    return textwrap.wrap(
        text,
        WIDTH - margin,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
    )


def indented(lines: Iterable[str], by: int = 4) -> list[str]:
    """The lines, further to the right."""
    return [" " * by + line for line in lines]


@dataclass(frozen=True)
class _Term:
    text: str
    level: int
    is_number: bool = False


class _Writer:
    """Terms by slot; a term is a number, a name, or code that is used once."""

    def __init__(
        self, program: Program, names: Mapping[Expr, str], temporaries: Iterator[str]
    ) -> None:
        self.lines: list[str] = []
        self._temporaries = temporaries
        self._shape = f"{next(iter(names.values()))}.shape" if names else "()"
        self._terms: dict[int, _Term] = {}
        uses = [slot for step in program.instructions for slot in step.arguments]
        uses += program.outputs
        for slot, leaf in enumerate(program.leaves):
            if isinstance(leaf, Constant):
                self._terms[slot] = self._number(leaf.value)
            else:
                self._terms[slot] = _Term(names[leaf], _ATOM)
        for step in program.instructions:
            term = self._application(step)
            if uses.count(step.target) > 1:
                term = self._named(term)
            self._terms[step.target] = term

    def result(self, slot: int) -> str:
        """The term of an output; a number is a tensor there."""
        return self._filled(self._terms[slot]).text

    def _application(self, step: Instruction) -> _Term:
        terms = [self._terms[slot] for slot in step.arguments]
        signed = sign(step)
        # A sign takes a number on one side; functions take tensors alone.
        if not signed:
            terms = [self._filled(term) for term in terms]
        elif all(term.is_number for term in terms):
            terms[0] = self._filled(terms[0])
        while sum(len(term.text) for term in terms) > _INLINED:
            longest = max(range(len(terms)), key=lambda i: len(terms[i].text))
            if terms[longest].level == _ATOM and "(" not in terms[longest].text:
                break
            terms[longest] = self._named(terms[longest])
        if not signed:
            arguments = ", ".join(term.text for term in terms)
            return _Term(f"{function_name(step.operator.name)}({arguments})", _ATOM)
        if len(terms) == 1:
            return _Term(f"-{_at_least(terms[0], _NEGATION)}", _NEGATION)
        level = _LEVELS[signed]
        left, right = _at_least(terms[0], level), _at_least(terms[1], level + 1)
        return _Term(f"{left} {signed} {right}", level)

    def _named(self, term: _Term) -> _Term:
        name = next(self._temporaries)
        self.lines.append(f"{name} = {term.text}")
        return _Term(name, _ATOM)

    def _number(self, value: float) -> _Term:
        if abs(value) > _LARGEST:
            return _Term(f'float("{"-" if value < 0 else ""}inf")', _ATOM, is_number=True)
        text = repr(value).replace("e+", "e")
        number = _Term(text, _NEGATION if value < 0 else _ATOM, is_number=True)
        # Triton would take a smaller number as float64.
        return self._filled(number) if 0 < abs(value) < _SMALLEST else number

    def _filled(self, term: _Term) -> _Term:
        """A number as a tensor; what is a tensor stays."""
        if not term.is_number:
            return term
        return _Term(f"tl.full({self._shape}, {term.text}, tl.float32)", _ATOM)


def _at_least(term: _Term, level: int) -> str:
    return term.text if term.level >= level else f"({term.text})"
