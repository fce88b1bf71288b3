"""Known activations and layers: a name, a formula, where it comes from.

The lists are TOML files, one for each section of the zoo; `rows` reads them.
"""

from __future__ import annotations

from functools import cache

from ..expr import Expr, inputs
from ..layer_words import reads_batch
from ..parse import parse
from .placement import takes_norms_place
from .rows import SECTIONS, KnownActivation, functions, rows

__all__ = [
    "SECTIONS",
    "KnownActivation",
    "baselines",
    "known_activations",
    "known_functions",
    "known_layers",
    "known_tensor_functions",
    "read_formula",
    "takes_norms_place",
]

# Comparisons list them so, whatever the order of the files.
_FIRST_BASELINES = (
    *("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "crrelu", "relu_squared"),
    *("tanh", "snake"),
)


def known_activations() -> dict[str, KnownActivation]:
    """Every known activation by its name, in the order of the files."""
    return rows("activation")


def known_layers() -> dict[str, KnownActivation]:
    """Every known layer, such as one that takes the place of a normalisation too, by its name."""
    return rows("layer")


def known_tensor_functions() -> dict[str, KnownActivation]:
    """Every other known function of a whole tensor, and those that are random."""
    return rows("tensor")


def known_functions() -> dict[str, KnownActivation]:
    """All that has a name: known activations, known layers, known functions of a tensor."""
    return {**known_activations(), **known_layers(), **known_tensor_functions()}


def baselines(
    names: tuple[str, ...] = ("x",), *, replaces_norm: bool = False, batch_statistics: bool = True
) -> list[KnownActivation]:
    """Those that a search is compared with: of its own inputs, and then those of x.

    Args:
        names: of the inputs that the candidates of the search read.
        replaces_norm: whether its candidates take the place of a normalisation; then the baselines
            are layers.
        batch_statistics: whether a layer may mix the examples of a batch.
    """
    known = known_layers() if replaces_norm else known_activations()
    marked = [
        row
        for row in known.values()
        if row.baseline and (batch_statistics or not reads_batch(row.expr))
    ]
    first = {name: place for place, name in enumerate(_FIRST_BASELINES)}
    marked.sort(key=lambda row: first.get(row.name, len(first)))
    kinds = dict.fromkeys((names, ("x",)))
    return [row for kind in kinds for row in marked if inputs(row.expr) == kind]


def read_formula(text: str) -> Expr:
    """A formula, in which known activations and layers may be called, or the bare name of one.

    Raises:
        ParseError: as of `parse`.
    """
    names = _by_any_name()
    if isinstance(text, str) and text.strip() in names:
        return names[text.strip()]
    return parse(text, functions())


@cache
def _by_any_name() -> dict[str, Expr]:
    return {
        name: known.expr
        for known in known_functions().values()
        for name in (known.name, *known.aliases)
    }
