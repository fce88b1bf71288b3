"""The settings of a launch: a preset, a file and options, the later over the earlier."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import ConfigError
from .config import without_task_defaults
from .output import stderr
from .presets import merged, preset_of_space, preset_table


def launch_table(
    given: dict[str, Any],
    *,
    preset: str | None,
    space: str | None,
    strategy: str | None,
    task: str | None,
    settings: Iterable[tuple[str | None, str, Any]],
) -> dict[str, Any]:
    """The table that `load_config` reads; says on standard error what of a file is left out.

    Args:
        given: the file, parsed.
        preset: a published search; else that of the space, if it has one.
        settings: (section, key, value) of other options; a value of None was not given.

    Raises:
        ConfigError: a section of the file is no table, or there is no such preset.
    """
    preset = preset or preset_of_space(space or _section(given, "space").get("name"))
    table = merged(preset_table(preset) if preset else {}, given)
    table.pop("versions", None)
    if task and task != _section(table, "task").get("name", task):
        kept = without_task_defaults(table)
        if kept != table:
            stderr.print("note: data, learning rate and rungs of the other task are left out")
        table = kept
    named = {"space": space, "strategy": strategy}
    table = merged(table, {key: {"name": name} for key, name in named.items() if name})
    for section, key, value in (*settings, ("task", "name", task)):
        if value is not None:
            into = table if section is None else _section(table, section)
            into[key] = value
    return table


def _section(table: dict[str, Any], name: str) -> dict[str, Any]:
    section = table.setdefault(name, {})
    if not isinstance(section, dict):
        raise ConfigError(f"setting {name}={section!r} must be a table, [{name}]")
    return section
