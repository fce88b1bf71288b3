"""Which function to export, and what to say about where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .. import __version__
from ..errors import ConfigError
from ..primitives import Expr, infix, layer_words, parse, read_formula
from ..primitives.lowering.layer import GROUPS
from ..primitives.operators import did_you_mean
from ..primitives.zoo import known_functions
from ..runs.export import class_name_for, module_source
from ..runs.export_layer import layer_module_source
from ..runs.export_triton import triton_module_source
from ..runs.leaderboard import final_order
from ..runs.run import Run

FORMATS = ("torch", "triton")
"""Kinds of modules."""


def check_format(name: str) -> None:
    """Raises ConfigError if there is no such format."""
    if name not in FORMATS:
        raise ConfigError(
            f"unknown format '{name}'{did_you_mean(name, FORMATS)}; there are {', '.join(FORMATS)}"
        )


def source_of_run(path: Path, rank: int, format: str = "torch") -> str:
    """Module text of a run's candidate; finalists come first, in the order of the finals.

    Args:
        format: one of `FORMATS`.

    Raises:
        RunError: the run cannot be read.
        ConfigError: it has no candidate of that rank, or a layer is to be written in another format
            than torch.
    """
    with Run.open(path) as run:
        order = final_order(run.journal)
        config = run.journal.attribute("config") or {}
        finals = run.journal.attribute("finals")
    if not order:
        raise ConfigError(f"{path} has no ranked candidate yet; see: search status {path}")
    if rank > len(order):
        raise ConfigError(f"--rank {rank} is too high; {path} has {len(order)} ranked candidates")
    entry = order[rank - 1]
    facts = {
        "found by": f"actsearch {__version__}, space {config['space']['name']}, strategy "
        f"{config['strategy']['name']}, seed {config['seed']}, candidate {entry.label}",
        "task": Path(config["task"]["name"]).name,
        "search score": f"{entry.result.score:.4f} (one seed, validation split)",
    }
    for arm in (finals or {"arms": []})["arms"]:
        if arm["label"] == entry.label and arm["mean"] is not None:
            facts["final score"] = (
                f"{arm['mean']:.4f} (mean of {len(arm['scores'])} fresh seeds, final split)"
            )
    for comparison in (finals or {"comparisons": []})["comparisons"]:
        if comparison["name"] == entry.label:
            facts[f"against {comparison['against']}"] = (
                f"{comparison['effect']:+.4f}, interval {comparison['low']:+.4f} to "
                f"{comparison['high']:+.4f}, corrected p {comparison['p_holm']:.3f}, "
                f"{'better' if comparison['better'] else 'not better'}"
            )
    expr = parse(entry.job.formula)
    groups = config["task"].get("groups") or GROUPS
    return _source(expr, format, "Discovered", facts, groups)


def source_of_formula(text: str, format: str = "torch") -> str:
    """Module text of a formula or known activation.

    Args:
        format: one of `FORMATS`.

    Raises:
        ParseError: it cannot be read.
        ConfigError: a layer is to be written in another format than torch.
    """
    expr = read_formula(text)
    name, class_name, provenance = text.strip(), class_name_for(), {"written as": infix(expr)}
    for known in known_functions().values():
        if name in (known.name, *known.aliases):
            class_name, provenance = class_name_for(name), {"source": known.source}
    return _source(expr, format, class_name, provenance, GROUPS)


def _source(
    expr: Expr, format: str, class_name: str, provenance: Mapping[str, str], groups: int
) -> str:
    if not layer_words(expr):
        write = module_source if format == "torch" else triton_module_source
        return write(expr, class_name=class_name, provenance=provenance)
    if format != "torch":
        raise ConfigError(
            f"format '{format}' takes functions of one number, not layers with words such as "
            f"'{layer_words(expr)[0]}'; use the format torch"
        )
    return layer_module_source(expr, class_name=class_name, provenance=provenance, groups=groups)
