"""Pages for people, from the templates of this folder. They load nothing and run no script."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import jinja2


def page_of(template: str, **facts: Any) -> str:
    """The page, complete and self-contained.

    Args:
        template: a file of this folder; `page.html.j2` is the frame of all.
        facts: what it shows. Text is escaped; a picture comes as `Markup`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**facts)


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")
