"""What can be said of a candidate without training it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .figure import Figure, at_initial
from .gaussian import GaussianMoments, gaussian_moments
from .initial_gain import initial_gain
from .unit_statistics import at_unit_statistics

if TYPE_CHECKING:
    from .bounds import Relaxation, bounds_of, relaxation_of
    from .linearity import linearity_of
    from .mean_field import MeanField, mean_field_of
    from .quantisation import Quantisation, quantisation_of
    from .relatives import Relatives, relatives_of
    from .shape import Shape, shape_of
    from .sparsity import Sparsity, sparsity_of
    from .spectrum import Spectrum, spectrum_of

__all__ = [
    "Figure",
    "GaussianMoments",
    "MeanField",
    "Quantisation",
    "Relatives",
    "Relaxation",
    "Shape",
    "Sparsity",
    "Spectrum",
    "at_initial",
    "at_unit_statistics",
    "bounds_of",
    "gaussian_moments",
    "initial_gain",
    "linearity_of",
    "mean_field_of",
    "quantisation_of",
    "relatives_of",
    "relaxation_of",
    "shape_of",
    "sparsity_of",
    "spectrum_of",
]

# Found when first asked for: workers need none of these, and scipy takes half a second to load.
_ROOMS = {
    "bounds": ("Relaxation", "bounds_of", "relaxation_of"),
    "linearity": ("linearity_of",),
    "mean_field": ("MeanField", "mean_field_of"),
    "quantisation": ("Quantisation", "quantisation_of"),
    "relatives": ("Relatives", "relatives_of"),
    "shape": ("Shape", "shape_of"),
    "sparsity": ("Sparsity", "sparsity_of"),
    "spectrum": ("Spectrum", "spectrum_of"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_ROOM_OF[name]}", __name__), name)
