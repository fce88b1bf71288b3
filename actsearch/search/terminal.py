"""What people see: progress while a run goes on, and tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..primitives import infix, parse
from ..runs.leaderboard import standings
from .progress import Progress

_PLAIN_SECONDS = 10.0
_FORMULA_WIDTH = 72


@contextmanager
def progress_display(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Show progress: three lines kept up to date on a terminal, else a line now and then."""
    if not console.is_terminal:
        shown, shown_at = ("", False), 0.0

        def print_line(progress: Progress) -> None:
            nonlocal shown, shown_at
            now, state = time.monotonic(), (progress.stage, progress.done == progress.total)
            if state != shown or now - shown_at >= _PLAIN_SECONDS:
                shown, shown_at = state, now
                facts = [*_facts(progress), *_time_left(progress)]
                console.print(" · ".join(facts), soft_wrap=True, markup=False)

        yield print_line
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:

        def update(progress: Progress) -> None:
            live.update(_panel(progress))

        yield update


def _panel(progress: Progress) -> Group:
    bar = ProgressBar(total=max(progress.total, 1), completed=progress.done, width=60)
    stage, *facts = _facts(progress)
    header = Text("   ".join([stage, *_time_left(progress)]), style="bold")
    return Group(header, bar, *map(Text, facts))


def _facts(progress: Progress) -> list[str]:
    facts = [f"{progress.stage} {progress.done}/{progress.total}"]
    if progress.proposed:
        facts.append(f"{progress.proposed} proposed; rejected {rejections(progress.rejected)}")
        turned_down = f"{progress.turned_down} turned down, " if progress.turned_down else ""
        facts.append(
            f"{progress.trained} trained, of them {turned_down}{progress.stopped} stopped early "
            f"and {progress.failed} failed"
        )
    if progress.best_score is not None:
        formula = shortened(infix(parse(progress.best_formula)))
        facts.append(f"best {progress.best_score:.4f} {formula}")
    return facts


def _time_left(progress: Progress) -> list[str]:
    left = progress.seconds_left
    return [] if left is None else [f"about {duration(left)} left"]


def rejections(counts: Mapping[str, int]) -> str:
    """`412 (duplicate 203, not finite 120, ...)`, the most frequent reason first."""
    if not counts:
        return "none"
    parts = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return f"{sum(counts.values())} ({', '.join(f'{name} {n}' for name, n in parts)})"


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: int) -> str:
    """`6,250`, and `about 4.1e+10` from a milliard on."""
    return f"{count:,}" if count < 10**9 else f"about {Decimal(count):.1e}"


def shortened(text: str, width: int = _FORMULA_WIDTH) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def leaderboard_table(board: Mapping[str, Any]) -> Group:
    """Candidates and baselines in one ranking by search score, then the finals.

    Rows that have them also show the score less the penalty for cost, and the modelled and the
    measured cost.
    """
    rows = standings(board)
    weighed = any("objective" in row for row in rows)
    modelled = any("modelled_cost" in row for row in rows)
    measured = "measured_on" in board
    by = "search score less cost" if weighed else "search score"
    table = Table(title=f"By {by} (one seed, validation split)", title_justify="left")
    table.add_column("", justify="right")
    if weighed:
        table.add_column("less cost", justify="right")
    table.add_column("score", justify="right")
    table.add_column("nodes", justify="right")
    if modelled:
        table.add_column("modelled ns", justify="right")
    if measured:
        table.add_column("ns", justify="right")
        table.add_column("x relu", justify="right")
    table.add_column("name")
    table.add_column("formula", overflow="fold")
    for row in rows:
        mark = "*" if row["front"] else " "
        cells = [mark if row["baseline"] else f"{row['rank']} {mark}"]
        if weighed:
            cells.append(f"{row['objective']:.4f}")
        cells.append(f"{row['score']:.4f}" + ("" if row["complete"] else " at a rung"))
        cells.append(str(row["complexity"]))
        if modelled:
            cells.append(f"{row['modelled_cost']:.2f}")
        if measured:
            cells += [f"{row['cost']['ns']:.2f}", f"{row['cost']['of_relu']:.1f}"]
        cells.append(row["label"] + (f" = {row['known']}" if row["known"] else ""))
        table.add_row(*cells, row["formula"], style="dim" if row["baseline"] else "")
    parts: list[Any] = [table, *map(Text, _front_lines(board, rows))]
    parts += _by_network("Search score by network", rows, "score")
    if measured:
        parts.append(
            Text(
                "ns: nanoseconds per element, forward and backward, measured now on "
                f"{_machine_text(board['measured_on'])}"
            )
        )
    if board["finals"]:
        parts += [Text(), finals_table(board["finals"])]
    return Group(*parts)


def _by_network(title: str, rows: Sequence[Mapping[str, Any]], whole: str) -> list[Any]:
    """A table of the score of each anchor; nothing if the task has none."""
    anchors = list(rows[0]["parts"]) if rows else []
    if not anchors:
        return []
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("name")
    for column in (whole, *anchors):
        table.add_column(column, justify="right")
    for row in rows:
        scores = [row[whole], *row["parts"].values()]
        table.add_row(row["label"], *(f"{score:.4f}" for score in scores))
    return [Text(), table]


def _front_lines(board: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the mark of the front means, and members of it that the ranking does not list."""
    if not board["front"]:
        return
    modelled = "modelled_cost" in board["front"][0]
    of = "score, nodes and modelled cost" if modelled else "score and nodes"
    yield (
        f"* on the Pareto front of {of}: no complete training is better in one of them and as "
        "good in the rest"
    )
    listed = {row["label"] for row in rows}
    for row in board["front"]:
        if row["label"] not in listed:
            place = f"score {row['score']:.4f}, {row['complexity']} nodes"
            yield f"* also {row['label']}, {place}: {row['formula']}"


def cost_table(report: Mapping[str, Any]) -> Group:
    """Times, bytes and memory of each function beside a plain copy."""
    title = (
        f"Cost per element; {report['dtype']}, {report['elements']:,} elements, "
        f"{_machine_text(report)}"
    )
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column(
        "function,\nwhat runs it", overflow="fold", min_width=24, max_width=_FORMULA_WIDTH
    )
    table.add_column("pass")
    for column in ("ns", "bytes\nmoved", "share", "bytes\nkept", "eager\nkeeps"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in report["rows"]:
        style = "" if row["formula"] else "dim"
        for line, name in ((row["name"], "forward"), (f"  {row['backend']}", "backward")):
            if row[f"{name}_ns"] is None:
                continue
            figures = [f"{row[f'{name}_ns']:.3f}", f"{row[f'{name}_bytes']}"]
            figures.append(f"{row[f'{name}_share']:.2f}")
            if name == "forward" and row["saved_bytes"] is not None:
                figures += [f"{row['saved_bytes']:g}", f"{row['eager_saved_bytes']:g}"]
            table.add_row(line, name, *figures, style=style)
    legend = (
        "share: of a copy's bytes per second; kept: for the backward pass, and what torch keeps "
        "when it runs the operators one by one"
    )
    return Group(table, Text(legend, style="dim"))


def _machine_text(facts: Mapping[str, Any]) -> str:
    if facts["device_name"]:
        return str(facts["device_name"])
    return f"the CPU, {facts['threads']} thread{'s' if facts['threads'] > 1 else ''}"


def finals_table(finals: Mapping[str, Any]) -> Group:
    """Means over fresh seeds, the paired comparisons, and what they say."""
    count = max((len(arm["scores"]) + arm["unsound"] for arm in finals["arms"]), default=0)
    means = Table(title=f"Finals ({count} fresh seeds, final split)", title_justify="left")
    for column in ("mean", "± sd", "rate"):
        means.add_column(column, justify="right")
    means.add_column("name")
    means.add_column("formula", overflow="fold")
    for arm in finals["arms"]:
        name = arm["label"] + (
            f" ({arm['unsound']} seeds without a score)" if arm["unsound"] else ""
        )
        means.add_row(
            "-" if arm["mean"] is None else f"{arm['mean']:.4f}",
            "-" if arm["deviation"] is None else f"{arm['deviation']:.4f}",
            f"{arm['learning_rate']:g}",
            name,
            infix(parse(arm["formula"])),
            style="" if arm["candidate"] else "dim",
        )
    pairs = Table(title="Paired differences of the final scores", title_justify="left")
    for column in ("name", "against"):
        pairs.add_column(column)
    for column in ("effect", f"{finals['confidence']:.0%} interval", "corrected p"):
        pairs.add_column(column, justify="right")
    pairs.add_column("")
    for found in finals["comparisons"]:
        pairs.add_row(
            found["name"],
            found["against"],
            f"{found['effect']:+.4f}",
            f"{found['low']:+.4f} to {found['high']:+.4f}",
            f"{found['p_holm']:.3f}",
            "better" if found["better"] else "not better",
        )
    # Finals of earlier versions have no parts.
    sound = [arm for arm in finals["arms"] if arm.get("parts")]
    parts: list[Any] = [means, *_by_network("Finals by network", sound, "mean")]
    if finals["comparisons"]:
        parts += [Text(), pairs]
    return Group(*parts, Text(), Text(finals["verdict"]))
