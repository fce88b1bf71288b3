"""What can be said of a candidate without training it."""

from .gaussian import GaussianMoments, gaussian_moments
from .initial_gain import initial_gain
from .unit_statistics import at_unit_statistics

__all__ = ["GaussianMoments", "at_unit_statistics", "gaussian_moments", "initial_gain"]
