"""Where a model normalises and activates, read from its traced dataflow."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from .evaluators.tasks.task import Affine
from .primitives import Activation, Layer

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
TOKEN_NORMS = (nn.LayerNorm, nn.RMSNorm)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
NORMS = (*BATCH_NORMS, *TOKEN_NORMS, *INSTANCE_NORMS, nn.GroupNorm)
ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.SiLU,
    nn.GELU,
    nn.LeakyReLU,
    nn.ELU,
    nn.Hardswish,
    nn.Mish,
)
_FUNCTIONS = frozenset(
    (
        *(functional.relu, functional.relu_, torch.relu, torch.relu_, functional.relu6),
        *(functional.silu, functional.gelu, functional.leaky_relu, functional.leaky_relu_),
        *(functional.elu, functional.elu_, functional.hardswish, functional.mish),
    )
)
_METHODS = frozenset(("relu", "relu_"))
# Other nonlinear functions; a norm before them is needed, and they are not replaced.
_BOUNDED = frozenset(("sigmoid", "tanh", "softmax", "hardsigmoid", "hardtanh", "softplus"))
_PRODUCTS = frozenset((torch.matmul, operator.matmul, torch.bmm, functional.linear))
_KEEPING = frozenset(
    (operator.add, operator.iadd, operator.mul, torch.add, torch.mul, functional.dropout)
)
_OWN = (Layer, Activation, Affine)


@dataclass(frozen=True)
class Region:
    """A part of a model whose forward was traced.

    Args:
        name: qualified, empty for the whole model.
        module: the part.
        graph: what its forward does.
        opaque: ids of modules within that cannot be traced, each a box in the graph.
    """

    name: str
    module: nn.Module
    graph: fx.Graph
    opaque: frozenset[int] = frozenset()

    def called(self, node: fx.Node) -> Any:
        """The module that the node calls; None if it calls none."""
        return self.module.get_submodule(str(node.target)) if node.op == "call_module" else None

    def place(self, node: fx.Node) -> str:
        """Qualified name of the module called, or the node's own name."""
        own = str(node.target) if node.op == "call_module" else f"{node.name}()"
        return f"{self.name}.{own}" if self.name else own

    def kind(self, node: fx.Node) -> str:
        """Class of the module called, or the function's name."""
        if node.op == "call_module":
            return type(self.called(node)).__name__
        return str(getattr(node.target, "__name__", node.target))

    def is_norm(self, node: fx.Node) -> bool:
        return type(self.called(node)) in NORMS

    def is_activation(self, node: fx.Node) -> bool:
        """Whether it is of the kinds that are replaced."""
        if node.op == "call_module":
            return type(self.called(node)) in ACTIVATIONS
        if node.op == "call_method":
            return node.target in _METHODS
        return node.op == "call_function" and node.target in _FUNCTIONS

    def calls(self, module: nn.Module) -> list[fx.Node]:
        """All the calls of one module."""
        return [node for node in self.graph.nodes if self.called(node) is module]

    def activation_after(self, norm: fx.Node) -> fx.Node | None:
        """The activation that alone reads the norm's output."""
        users = list(norm.users)
        if len(users) == 1 and self.is_activation(users[0]):
            return users[0] if users[0].all_input_nodes == [norm] else None
        return None

    def nonlinear_after(self, norm: fx.Node) -> fx.Node | None:
        """An activation of any kind that is reached with no weights in between, or the output of
        a part, after which nobody knows what comes."""
        waiting, seen = list(norm.users), set()
        while waiting:
            node = waiting.pop(0)
            if node in seen:
                continue
            seen.add(node)
            if (node.op == "output" and self.name) or self._is_nonlinear(node):
                return node
            if not self._has_weights(node):
                waiting += node.users
        return None

    def width_before(self, node: fx.Node) -> tuple[int, int] | None:
        """(channels, channel axis) of what a node reads, from the layer before; None if unclear."""
        (before, *_) = node.all_input_nodes
        module = self.called(before)
        match module:
            case nn.Linear(out_features=width):
                return width, -1
            case nn.LayerNorm(normalized_shape=shape) | nn.RMSNorm(normalized_shape=shape):
                return shape[-1], -1
            case nn.GroupNorm(num_channels=width):
                return width, 1
            case Layer(channels=width, dim=dim):
                return width, dim
            case Affine(gamma=gamma, dim=dim):
                return gamma.numel(), dim
        for attribute in ("out_channels", "num_features"):
            if hasattr(module, attribute):
                return getattr(module, attribute), 1
        kept = module is not None and type(module).__module__.rpartition(".")[2] in (
            *("activation", "dropout", "pooling", "linear"),
        )
        kept = kept or self.is_activation(before) or before.target in _KEEPING
        return self.width_before(before) if kept and before.all_input_nodes else None

    def _is_nonlinear(self, node: fx.Node) -> bool:
        module = self.called(node)
        if module is not None:
            return type(module).__module__ == "torch.nn.modules.activation" and not isinstance(
                module, nn.MultiheadAttention
            )
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        return self.is_activation(node) or name in _BOUNDED

    def _has_weights(self, node: fx.Node) -> bool:
        module = self.called(node)
        if module is not None:
            return type(module) in NORMS or any(True for _ in module.parameters())
        reads_one = any(read.op == "get_attr" for read in node.all_input_nodes)
        return reads_one or node.target in _PRODUCTS


class _Tracer(fx.Tracer):
    def __init__(self, opaque: frozenset[int]) -> None:
        super().__init__()
        self._opaque = opaque

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return id(m) in self._opaque or _is_leaf(m)


def _is_leaf(module: nn.Module) -> bool:
    ours_or_torchs = isinstance(module, _OWN) or type(module).__module__.startswith("torch.nn")
    return ours_or_torchs and not isinstance(module, nn.Sequential)


def regions(model: nn.Module) -> tuple[list[Region], list[str]]:
    """The largest parts of a model that torch.fx can trace, and the names of what it cannot.

    What cannot be traced is a box in the part around it, and its own children are parts again.
    """
    whole = _traced(model, frozenset())
    if whole is not None:
        return [Region("", model, whole)], []
    opaque: frozenset[int] = frozenset()
    traced: dict[int, Region] = {}
    named = list(model.named_modules())
    for name, module in reversed(named):  # children before what holds them
        graph = None if _is_container(module) else _traced(module, opaque)
        if graph is None:
            opaque |= {id(module)}
        else:
            traced[id(module)] = Region(name, module, graph, opaque)
    parts = {id(model): model}
    for _, module in named:
        if id(module) in opaque and not _is_leaf(module):
            parts |= {id(child): child for child in module.children() if not _is_leaf(child)}
    # That a container has no forward is no news.
    boxes = [n or "the model" for n, m in named if id(m) in opaque and not _is_container(m)]
    return [traced[key] for key in parts if key in traced], boxes


def can_be_edited(region: Region) -> bool:
    """Whether the traced graph can stand for the forward: no branch on the mode of training, which
    it would fix, and no argument that may be left out."""
    if any(node.op == "placeholder" and node.args for node in region.graph.nodes):
        return False
    modes = [(part, part.training) for part in region.module.modules()]
    texts = {_text(region.module.train(training), region.opaque) for training in (True, False)}
    for part, training in modes:
        part.training = training
    return len(texts) == 1


def _text(module: nn.Module, opaque: frozenset[int]) -> str:
    return str(_traced(module, opaque))


def _is_container(module: nn.Module) -> bool:
    return isinstance(module, nn.ModuleList | nn.ModuleDict)


def _traced(module: nn.Module, opaque: frozenset[int]) -> fx.Graph | None:
    try:
        return _Tracer(opaque).trace(module)
    except Exception:  # the forward of a stranger runs on proxies, and may raise anything
        return None
