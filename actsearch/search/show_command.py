"""The command `search show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import AsJson
from .output import print_json, stdout, write

if TYPE_CHECKING:
    from .card import Card


def show(
    function: Annotated[
        str,
        typer.Argument(
            metavar="EXPR|NAME|RUN#K", help="A formula, a known name, or a candidate of a run."
        ),
    ],
    html: Annotated[Path | None, typer.Option(help="Write the card as a page.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write the card as a picture.")] = None,
    cost: Annotated[
        bool, typer.Option(help="Also measure what it costs on this machine, about a second.")
    ] = True,
    seconds: Annotated[
        float, typer.Option(min=0, help="For algebra; what it does not find is numeric.")
    ] = 10.0,
    as_json: AsJson = False,
) -> None:
    """The identity card: shape, moments, gains, spectrum, bounds, relatives, cost."""
    from ..errors import ConfigError
    from .card import card_of
    from .functions import named_function

    if png is not None and png.suffix.lower() not in ("", ".png"):
        raise ConfigError(f"--png {png}: the picture is a PNG; name the file .png")
    card = card_of(named_function(function), seconds=seconds, with_cost=cost)
    if html is not None:
        write(html, "card.html", _page(card))
    if png is not None:
        write(png, "card.png", _png(card))
    if as_json:
        print_json(card.to_dict())
    elif html is None and png is None:
        _print(card)


def _print(card: Card) -> None:
    from rich.table import Table
    from rich.text import Text

    from .card_lines import sections_of

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, justify="right", style="dim")
    table.add_column(overflow="fold")
    for section in sections_of(card):
        table.add_row("", Text(section.title, style="bold"))
        for line in section.lines:
            table.add_row(line.name, line.text)
    stdout.print(f"{card.label}", style="bold", highlight=False)
    stdout.print(table, highlight=False)


def _page(card: Card) -> str:
    from ..runs.card_page import card_page
    from ..runs.card_picture import card_picture
    from .card_lines import sections_of

    drawn = card_picture(card.curve, _kinks(card), _harmonics(card)) if card.curve else ""
    return card_page(card.label, card.formula, drawn, sections_of(card))


def _png(card: Card) -> bytes:
    from ..runs.card_picture import card_png
    from .card_lines import sections_of

    lines = [(s.title, [(line.name, line.text) for line in s.lines]) for s in sections_of(card)]
    title = card.label if card.label == card.formula else f"{card.label}:  {card.formula}"
    return card_png(title[:110], card.curve, _kinks(card), _harmonics(card), lines)


def _kinks(card: Card) -> list[float]:
    return [] if card.analysis is None else [kink.at.value for kink in card.analysis.shape.kinks]


def _harmonics(card: Card) -> list[float]:
    if card.analysis is None or card.analysis.spectrum.dc is None:
        return []
    spectrum = card.analysis.spectrum
    assert spectrum.dc is not None
    return [spectrum.dc.value, *(h.value for h in spectrum.harmonics[:12])]
