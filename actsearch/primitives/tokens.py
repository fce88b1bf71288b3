"""The words, numbers and signs of a formula's text, and complaints that show the place."""

from __future__ import annotations

import re
from typing import NoReturn

from ..errors import ParseError

_TOKEN = re.compile(
    r"(?P<number>(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\*\*|[-+*/^(),=\[\]])",
    re.ASCII,
)
_SHOWN = 60


class Tokens:
    """Tokens (kind, text, offset) of a text, read from the first to the last.

    The kinds are number, name, sign and end.

    Raises:
        ParseError: a character that belongs to no token.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self._found = self._split()

    def _split(self) -> list[tuple[str, str, int]]:
        found, offset = [], 0
        while offset < len(self.text):
            if self.text[offset].isspace():
                offset += 1
                continue
            match = _TOKEN.match(self.text, offset)
            if match is None:
                character = self.text[offset]
                hint = "" if character.isascii() else "; formulas are plain ASCII"
                self.fail(f"unexpected character {character!a}", offset, hint)
            found.append((str(match.lastgroup), match.group(), offset))
            offset = match.end()
        return [*found, ("end", "", len(self.text))]

    @property
    def current(self) -> tuple[str, str, int]:
        return self._found[self.position]

    @property
    def following(self) -> tuple[str, str, int]:
        """The one after the current one, which is not the end."""
        return self._found[self.position + 1]

    @property
    def previous(self) -> tuple[str, str, int]:
        return self._found[self.position - 1]

    def take(self, sign: str) -> bool:
        """Whether the current token is this sign, which is then read."""
        if self.current[0] == "sign" and self.current[1] == sign:
            self.position += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.take(sign):
            _, word, offset = self.current
            self.fail(f"expected '{sign}', got {quoted(word)}", offset)

    def fail(self, problem: str, offset: int, hint: str = "") -> NoReturn:
        """Raises ParseError that shows where in the text the problem is."""
        line = self.text.count("\n", 0, offset) + 1
        column = offset - (self.text.rfind("\n", 0, offset) + 1) + 1
        where = f"line {line}, column {column}" if "\n" in self.text.strip() else f"column {column}"
        start = max(0, min(offset - _SHOWN // 2, len(self.text) - _SHOWN))
        shown = self.text[start : start + _SHOWN]
        shown = ("…" if start else "") + shown + ("…" if start + _SHOWN < len(self.text) else "")
        shown = "".join(c if c.isprintable() else "?" for c in " ".join(shown.split()))
        raise ParseError(f"{problem} at {where} of '{shown}'{hint}")


def short(word: str) -> str:
    """A word of the text for a message."""
    return word if len(word) <= _SHOWN else word[: _SHOWN - 1] + "…"


def quoted(word: str) -> str:
    """The same in quotes; the empty word is the end of the text."""
    return f"'{short(word)}'" if word else "the end"
