"""What a candidate is: operators, expressions over them, spaces of them, and their lowering."""

from .differentiate import derivative, gradients
from .expr import (
    Apply,
    Constant,
    Expr,
    Input,
    Parameter,
    Scope,
    depth,
    inputs,
    node_count,
    parameters,
)
from .format import infix
from .layer_words import layer_words, reads_batch
from .lowering.activation import Activation, ActivationSlot
from .lowering.eager import evaluate, value_and_slopes
from .lowering.layer import Layer, module_of
from .moments import moments
from .operator import Operator
from .operators import OPERATORS, operator
from .parse import parse
from .zoo import (
    KnownActivation,
    baselines,
    known_activations,
    known_functions,
    known_layers,
    known_tensor_functions,
    read_formula,
    takes_norms_place,
)

__all__ = [
    "OPERATORS",
    "Activation",
    "ActivationSlot",
    "Apply",
    "Constant",
    "Expr",
    "Input",
    "KnownActivation",
    "Layer",
    "Operator",
    "Parameter",
    "Scope",
    "baselines",
    "depth",
    "derivative",
    "evaluate",
    "gradients",
    "infix",
    "inputs",
    "known_activations",
    "known_functions",
    "known_layers",
    "known_tensor_functions",
    "layer_words",
    "module_of",
    "moments",
    "node_count",
    "operator",
    "parameters",
    "parse",
    "read_formula",
    "reads_batch",
    "takes_norms_place",
    "value_and_slopes",
]
