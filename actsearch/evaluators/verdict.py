"""What a screen says of a candidate, and the bounds that screens hold it to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a candidate does not enter training."""

    CONSTANT = "constant"
    AFFINE = "affine"
    NOT_FINITE = "not finite"
    EXTREME = "extreme"
    MEAN_FIELD = "mean field"
    DUPLICATE = "duplicate"
    BATCH = "batch statistics"


@dataclass(frozen=True)
class Verdict:
    """Accepted (no reason), or rejected for a reason, with the figure that decided.

    `known` names the known activation that an accepted candidate equals.
    """

    reason: Reason | None = None
    figure: str = ""
    known: str = ""

    @property
    def accepted(self) -> bool:
        return self.reason is None


ACCEPTED = Verdict()


@dataclass(frozen=True)
class StaticLimits:
    """Bounds of the static screen.

    Args:
        largest: bound on |f| and |f'| for |x| <= 10; of two inputs, |u| and |v|. For a layer, on
            values and slopes for inputs of unit scale.
        widest: f and f' must be finite up to this |x|, in float32 and bfloat16.
        lowest_chi, highest_chi: bounds on chi_1 = E f'^2 / E f^2 under N(0, 1), the factor by
            which a layer with gain-corrected weights changes the variance of gradients. ReLU has
            1, tanh 1.18, sigmoid 0.15, SwiGLU 2.07 (see `GaussianMoments.slope_after_gain`). Not
            asked of a layer, whose statistics follow the scale of its input.
        batch_statistics: whether a candidate may read other examples of its batch.
    """

    largest: float = 1e3
    widest: float = 1e4
    lowest_chi: float = 0.05
    highest_chi: float = 20.0
    batch_statistics: bool = True
