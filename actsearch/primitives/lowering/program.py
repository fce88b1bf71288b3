"""An expression as a straight line of instructions, each shared subexpression once.

The programs compute the stable form of the expression and of its slopes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ..differentiate import gradients
from ..expr import Apply, Constant, Expr, Input, Parameter, inputs, postorder
from ..operator import Operator
from ..operators import OPERATORS
from ..rewrite import stable

GRAD = Input("grad")
"""The gradient by the output, in a `gradient_program`."""


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
        for node in postorder(root, slots):
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
    return linearise((stable(expr),))


@lru_cache(maxsize=4096)
def backward_program(expr: Expr) -> Program:
    """The program of the slopes, by the variables in the order of `variables(expr)`."""
    return linearise(_slopes(expr))


@lru_cache(maxsize=4096)
def gradient_program(expr: Expr) -> Program:
    """The program of what a backward pass returns before summing: slopes times the input `grad`."""
    return linearise(tuple(_times_grad(slope) for slope in _slopes(expr)))


def _times_grad(slope: Expr) -> Expr:
    match slope:
        case Constant(0.0):
            return slope
        case Constant(1.0):
            return GRAD
    return Apply(OPERATORS["mul"], (GRAD, slope))


@lru_cache(maxsize=4096)
def training_program(expr: Expr) -> tuple[Program, int]:
    """The value and then the slopes in one program, and how many instructions the value takes.

    The slopes go on from the slots that the value filled.
    """
    value = stable(expr)
    length = sum(isinstance(node, Apply) for node in postorder(value))
    return linearise((value, *_slopes(expr))), length


@lru_cache(maxsize=4096)
def slopes_program(expr: Expr) -> Program:
    """The start of the training program: the value, and the slopes by the inputs alone."""
    program, _ = training_program(expr)
    outputs = program.outputs[: 1 + len(inputs(expr))]
    length = max(outputs) + 1 - len(program.leaves)
    return Program(program.leaves, program.instructions[: max(0, length)], outputs)


@lru_cache(maxsize=4096)
def _slopes(expr: Expr) -> tuple[Expr, ...]:
    """Slopes of the stable form by all variables of the expression, which it may have lost."""
    found = gradients(stable(expr))
    return tuple(stable(found.get(leaf, Constant(0.0))) for leaf in variables(expr))


@lru_cache(maxsize=4096)
def variables(expr: Expr) -> tuple[Input | Parameter, ...]:
    """Inputs in alphabetical order, then trainable parameters in order of appearance."""
    leaves = [node for node in postorder(expr) if not isinstance(node, Apply)]
    return (
        *sorted((n for n in leaves if isinstance(n, Input)), key=lambda n: n.name),
        *(n for n in leaves if isinstance(n, Parameter)),
    )
