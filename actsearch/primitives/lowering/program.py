"""An expression as a straight line of instructions, each shared subexpression once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ..differentiate import gradients
from ..expr import Apply, Expr, Input, Parameter, postorder
from ..operator import Operator


@dataclass(frozen=True, eq=False)
class Instruction:
    """Put `operator(*arguments)` into the slot `target`; arguments are slots too."""

    operator: Operator
    arguments: tuple[int, ...]
    target: int


@dataclass(frozen=True, eq=False)
class Program:
    """Instructions over numbered slots; the leaves fill the first ones.

    Args:
        leaves: what each of the first slots holds.
        instructions: in an order in which arguments stand before their use.
        outputs: slots of the results, in the order in which they were asked for.
    """

    leaves: tuple[Expr, ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]


def linearise(roots: tuple[Expr, ...]) -> Program:
    """One program that computes all the roots."""
    slots: dict[Expr, int] = {}
    applications: list[Apply] = []
    for root in roots:
        for node in postorder(root):
            if node in slots:
                continue
            slots[node] = -1
            if isinstance(node, Apply):
                applications.append(node)
    leaves = tuple(node for node in slots if not isinstance(node, Apply))
    for slot, node in enumerate((*leaves, *applications)):
        slots[node] = slot
    return Program(
        leaves=leaves,
        instructions=tuple(
            Instruction(node.operator, tuple(slots[a] for a in node.arguments), slots[node])
            for node in applications
        ),
        outputs=tuple(slots[root] for root in roots),
    )


@lru_cache(maxsize=4096)
def forward_program(expr: Expr) -> Program:
    """The program of the value alone."""
    return linearise((expr,))


@lru_cache(maxsize=4096)
def backward_program(expr: Expr) -> Program:
    """The program of the slopes, by the variables in the order of `variables(expr)`."""
    slopes = gradients(expr)
    return linearise(tuple(slopes[leaf] for leaf in variables(expr)))


@lru_cache(maxsize=4096)
def training_program(expr: Expr) -> tuple[Program, int]:
    """The value and then the slopes in one program, and how many instructions the value takes.

    The slopes go on from the slots that the value filled.
    """
    slopes = gradients(expr)
    program = linearise((expr, *(slopes[leaf] for leaf in variables(expr))))
    return program, len(forward_program(expr).instructions)


@lru_cache(maxsize=4096)
def variables(expr: Expr) -> tuple[Input | Parameter, ...]:
    """Inputs in alphabetical order, then trainable parameters in order of appearance."""
    leaves = [node for node in postorder(expr) if not isinstance(node, Apply)]
    return (
        *sorted((n for n in leaves if isinstance(n, Input)), key=lambda n: n.name),
        *(n for n in leaves if isinstance(n, Parameter)),
    )
