"""The screens of a run in one: each usable function once, whatever its spelling."""

from __future__ import annotations

from collections.abc import Sequence

from ..primitives import Expr, KnownActivation
from .screens import DuplicateScreen, fingerprint, static_screen
from .verdict import Reason, StaticLimits, Verdict


class NewFunctionScreen:
    """Accepts what passes the static screen and equals nothing that it accepted before.

    Args:
        limits: of the static screen.
        known: activations to recognise; they are not rejected.
    """

    def __init__(self, limits: StaticLimits, known: Sequence[KnownActivation] = ()) -> None:
        self.limits = limits
        self._accepted = DuplicateScreen()
        self._known = DuplicateScreen()
        for activation in known:
            self._known.remember(fingerprint(activation.expr), activation.name)

    def __call__(self, expr: Expr) -> Verdict:
        verdict = static_screen(expr, self.limits)
        if not verdict.accepted:
            return verdict
        mark = fingerprint(expr)
        twin = self._accepted.find(mark)
        if twin is not None:
            return Verdict(Reason.DUPLICATE, f"of {twin}")
        self._accepted.remember(mark, expr.text)
        return Verdict(known=self._known.find(mark) or "")
