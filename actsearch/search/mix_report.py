"""What `search mix` shows on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .mix import MIXED

_CHANCE = 0.05


@contextmanager
def progress_of(console: Console, total: int) -> Iterator[Callable[[str, float | None], None]]:
    """A bar that is told of each training, with the best score so far and the time left."""
    best: list[float] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        row = bar.add_task("training", total=total)

        def told(label: str, score: float | None) -> None:
            best[:] = [*best, *([] if score is None else [score])]
            shown = f"{label}, best so far {max(best):.4f}" if best else label
            # A sweep that is widened trains more than was announced.
            done = bar.tasks[row].completed + 1
            bar.update(row, advance=1, total=max(total, done), description=shown)

        yield told


def mix_table(found: Mapping[str, Any]) -> Group:
    """Scores of all networks, the gap at the choice, and what was chosen in each layer."""
    title = f"{found['task']}: {found['mixing']} mixture of {len(found['pool'])}"
    grid = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("network", "mean", "± sd", "rate", "mixed − it", "95 % interval", "p"):
        grid.add_column(name, justify="left" if name == "network" else "right", no_wrap=True)
    against = {comparison["against"]: comparison for comparison in found["comparisons"]}
    for arm in found["arms"]:
        grid.add_row(*_cells(arm, against.get(arm["label"])))
    lines = [Text(_gap(found))]
    if found["layers"]:
        lines.append(Text(_verdict(found)))
    return Group(grid, *lines, *([_choices(found)] if found["layers"] else []))


def _cells(arm: Mapping[str, Any], comparison: Mapping[str, Any] | None) -> list[str]:
    cells = [
        arm["label"],
        "diverged" if arm["mean"] is None else f"{arm['mean']:.4f}",
        "" if arm["deviation"] is None else f"{arm['deviation']:.4f}",
        "" if arm["learning_rate"] is None else f"{arm['learning_rate']:g}",
    ]
    if comparison is None:
        return [*cells, "", "", ""]
    return [
        *cells,
        f"{comparison['effect']:+.4f}",
        f"{comparison['low']:+.3f} to {comparison['high']:+.3f}",
        f"{comparison['p_holm']:.3f}",
    ]


def _gap(found: Mapping[str, Any]) -> str:
    gap = found["gap"]
    if gap is None:
        return "The mixed network diverged at every seed."
    spread = "" if gap["deviation"] is None else f" ± {gap['deviation']:.4f}"
    return (
        f"At the choice, after {found['switch']:.1%} of the steps, the validation score goes from "
        f"{gap['mixed']:.4f} to {gap['chosen']:.4f} (gap {gap['mean']:+.4f}{spread}), and ends at "
        f"{found['end']:.4f}. A neuron's choice has a weight of {found['sureness']:.2f} then, "
        f"where {1 / len(found['pool']):.2f} is chance."
    )


def _verdict(found: Mapping[str, Any]) -> str:
    comparisons = found["comparisons"]
    best = next((arm["label"] for arm in found["arms"] if arm["label"] != MIXED), None)
    against = {c["against"]: c for c in comparisons}.get(best)
    if against is None:
        return "No claim: the mixed network or the best single function diverged at a seed."
    figures = (
        f"{against['effect']:+.4f}, 95 % interval {against['low']:+.4f} to {against['high']:+.4f}, "
        f"corrected p {against['p_holm']:.3f}"
    )
    if against["better"]:
        return f"The choice pays: better than {best}, the best single function ({figures})."
    if against["effect"] < 0 and against["p_holm"] < _CHANCE:
        return f"The choice costs here: worse than {best}, the best single function ({figures})."
    return f"The choice is not told apart from {best}, the best single function ({figures})."


def _choices(found: Mapping[str, Any]) -> Table:
    title = "Neurons by choice, mean over seeds"
    grid = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("layer", justify="right")
    for name in found["pool"]:
        grid.add_column(name, justify="right")
    for number, layer in enumerate(found["layers"], start=1):
        grid.add_row(str(number), *(f"{layer[name]:.1f}" for name in found["pool"]))
    return grid
