"""Which function to export, and what to say about where it came from."""

from __future__ import annotations

from pathlib import Path

from .. import __version__
from ..errors import ConfigError
from ..primitives import infix, known_activations, parse, read_formula
from ..runs.export import class_name_for, module_source
from ..runs.leaderboard import final_order
from ..runs.run import Run


def source_of_run(path: Path, rank: int) -> str:
    """Module text of a run's candidate; finalists come first, in the order of the finals.

    Raises:
        RunError: the run cannot be read.
        ConfigError: it has no candidate of that rank.
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
    return module_source(expr, class_name="Discovered", provenance=facts)


def source_of_formula(text: str) -> str:
    """Module text of a formula or known activation.

    Raises:
        ParseError: it cannot be read.
    """
    expr = read_formula(text)
    name = text.strip()
    for known in known_activations().values():
        if name in (known.name, *known.aliases):
            return module_source(
                expr, class_name=class_name_for(name), provenance={"source": known.source}
            )
    return module_source(expr, class_name=class_name_for(), provenance={"written as": infix(expr)})
