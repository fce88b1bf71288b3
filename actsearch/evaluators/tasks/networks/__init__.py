"""Networks in which a candidate is tried: one file for each family, at any size, for signals or
images."""

from .inverted_residual import InvertedResidualNet, InvertedStage
from .layers import unactivated_weights
from .preactivation_resnet import PreactivationResNet, ResidualStage
from .sizes import Networks, paper_networks, slim_networks, wide_networks
from .squeeze_excitation import SqueezeExcitation
from .vision_transformer import VisionTransformer

__all__ = [
    "InvertedResidualNet",
    "InvertedStage",
    "Networks",
    "PreactivationResNet",
    "ResidualStage",
    "SqueezeExcitation",
    "VisionTransformer",
    "paper_networks",
    "slim_networks",
    "unactivated_weights",
    "wide_networks",
]
