"""One page about a function, for people. It holds all that it shows, and runs no script."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup


def card_page(name: str, formula: str, picture: str, sections: Sequence[Any]) -> str:
    """The page, complete and self-contained.

    Args:
        picture: SVG, or empty.
        sections: each with a title and lines, which have a name and a text.
    """
    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(files(__package__).joinpath("card.html.j2").read_text("utf-8"))
    return template.render(name=name, formula=formula, picture=Markup(picture), sections=sections)
