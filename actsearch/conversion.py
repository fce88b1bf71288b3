"""An existing model, converted to a layer or function that was found."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import Tensor, nn

from .dataflow import ACTIVATIONS, NORMS, regions
from .errors import ConfigError
from .primitives import Expr, inputs, read_formula, takes_norms_place
from .primitives.lowering.layer import GROUPS
from .rewiring import Editor, Replacement, replace_activations, replace_norms

_BECAME = {
    "layer": "to the layer",
    "function": "to the function",
    "affine": "affine only",
    "left": "left",
}


@dataclass(frozen=True)
class Conversion:
    """A converted model, and what became of its normalisations and activations.

    Args:
        model: a copy; of the same class, or a `torch.fx.GraphModule` where calls in a forward had
            to go, which `notes` says.
        replacements: in the order of the dataflow.
        notes: what could not be traced, and what is a traced graph now.
    """

    model: nn.Module
    replacements: tuple[Replacement, ...]
    notes: tuple[str, ...] = ()

    @property
    def report(self) -> str:
        """Counts, notes and a table, for people."""
        counts = {
            said: sum(row.became == became for row in self.replacements)
            for became, said in _BECAME.items()
        }
        lines = [", ".join(f"{count} {said}" for said, count in counts.items() if count)]
        rows = [("place", "was", "became", "reason")]
        rows += [(row.place, row.was, row.became, row.reason) for row in self.replacements]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([lines[0] or "nothing to convert", *self.notes, *lines[1:]])


def convert(
    model: nn.Module,
    layer: str | Expr,
    *,
    groups: int = GROUPS,
    example: Tensor | tuple[Tensor, ...] | None = None,
) -> Conversion:
    """A copy of a model with a layer in place of each normalisation and the activation after it.

    A formula with moments replaces a normalisation whose output one activation reads, and nothing
    else. A batch normalisation with no activation after it becomes an affine map of each channel,
    as in the authors' code of EvoNorm (arXiv:2004.02967); it is left where an activation comes
    later, as in a block that adds and then activates. `weight` and `bias` become `gamma` and
    `beta` if the formula has them by channel; running statistics become those of batch moments of
    x. A formula without moments replaces activations alone, and so does a known function of a
    tensor, such as polynorm.

    Args:
        layer: a formula, a known name, or an expression, of x.
        groups: most groups of a group moment.
        example: what the model takes; needed for parameters by channel of a formula without
            moments where the layers before do not tell the number of channels.

    Raises:
        ParseError: the formula cannot be read.
        ConfigError: the formula reads other inputs than x, `groups` is below 1, or the model does
            not take the example.
    """
    expr = read_formula(layer) if isinstance(layer, str) else layer
    if inputs(expr) not in ((), ("x",)):
        raise ConfigError(
            f"'{expr}' reads {' and '.join(inputs(expr))}, and a place in a model gives x alone; "
            "convert takes formulas of x"
        )
    if groups < 1:
        raise ConfigError(f"groups={groups} must be at least 1")
    editor = Editor(copy.deepcopy(model))
    parts, boxes = regions(editor.model)
    if boxes:
        editor.notes.append(f"not traced, other than parts of it: {', '.join(boxes)}")
    called = {id(part.called(node)) for part in parts for node in part.graph.nodes}
    normalises = takes_norms_place(expr)
    kinds = NORMS if normalises else ACTIVATIONS
    unseen = [
        Replacement(name, type(module).__name__, "left", "no traced forward calls it")
        for name, module in editor.model.named_modules()
        if type(module) in kinds and id(module) not in called
    ]
    rows: list[Replacement] = []
    for part in parts:
        order = list(part.graph.nodes)
        if normalises:
            found = replace_norms(editor, part, expr, groups)
        else:
            found = replace_activations(editor, part, expr, example, groups)
        rows += [found[node] for node in order if node in found]
    return Conversion(editor.model, tuple(dict.fromkeys(rows + unseen)), tuple(editor.notes))
