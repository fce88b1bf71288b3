"""How a strategy's settings say what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import ConfigError


def check_settings(settings: object, conditions: Iterable[tuple[str, bool, str]]) -> None:
    """Whether the values of a strategy's settings are in range.

    Args:
        settings: the dataclass.
        conditions: (field, whether its value is good, what it must be).

    Raises:
        ConfigError: names the first setting that is not good, its value and what it must be.
    """
    for name, good, wanted in conditions:
        if not good:
            value = getattr(settings, name)
            raise ConfigError(f"setting strategy.{name}={value!r} must be {wanted}")
