"""One page about a function, for people. It holds all that it shows, and runs no script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from .page import page_of


def card_page(name: str, formula: str, picture: str, sections: Sequence[Any]) -> str:
    """The page, complete and self-contained.

    Args:
        picture: SVG, or empty.
        sections: each with a title and lines, which have a name and a text.
    """
    return page_of(
        "card.html.j2", name=name, formula=formula, picture=Markup(picture), sections=sections
    )
