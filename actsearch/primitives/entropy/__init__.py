"""EAFO: the correction of an activation that lowers the entropy of its output.

A Method on Searching Better Activation Functions, Sun et al. 2024, arXiv:2405.12954. `derivation`,
`exact` and `measured` import more than the rest and are imported by name.
"""

from .correction import Correction, Form, correction
from .densities import (
    DENSITIES,
    Density,
    cauchy,
    density_named,
    laplace,
    logistic,
    normal,
    student,
    uniform,
    worst_activation,
)
from .functional import Change, change, entropy, first_order, scale_free_entropy

__all__ = [
    "DENSITIES",
    "Change",
    "Correction",
    "Density",
    "Form",
    "cauchy",
    "change",
    "correction",
    "density_named",
    "entropy",
    "first_order",
    "laplace",
    "logistic",
    "normal",
    "scale_free_entropy",
    "student",
    "uniform",
    "worst_activation",
]
