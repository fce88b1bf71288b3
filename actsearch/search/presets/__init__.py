"""Settings of published searches, one file each, by name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from ...errors import ConfigError
from ...primitives.operators import did_you_mean


def presets() -> tuple[str, ...]:
    """Names of all presets."""
    names = (entry.name for entry in files(__package__).iterdir())
    return tuple(sorted(name[: -len(".toml")] for name in names if name.endswith(".toml")))


def preset_table(name: str) -> dict[str, Any]:
    """The settings of a preset; what it leaves out has its default.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in presets():
        raise ConfigError(
            f"unknown preset '{name}'{did_you_mean(name, presets())}; there are: "
            f"{', '.join(presets())}"
        )
    return tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text("utf-8"))


def preset_of_space(space: str | None) -> str | None:
    """The preset whose settings are the defaults of a search in that space; None for our own."""
    return {"evonorm": "evonorm-slim"}.get(space or "")


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables of settings as one; where both have a setting, that of `over`.

    A section that names another space or strategy replaces the one below: its settings are those
    of the other.
    """
    table = dict(under)
    for key, value in over.items():
        below = table.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            of_one_kind = value.get("name", below.get("name")) == below.get("name")
            value = {**below, **value} if of_one_kind else dict(value)
        table[key] = value
    return table
