"""What can be said of a candidate without training it."""

from .gaussian import GaussianMoments, gaussian_moments

__all__ = ["GaussianMoments", "gaussian_moments"]
