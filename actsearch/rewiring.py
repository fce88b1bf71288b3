"""Replacing modules and calls of a model where its dataflow says so."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from .dataflow import BATCH_NORMS, TOKEN_NORMS, Region, can_be_edited
from .errors import ConfigError
from .evaluators.tasks.task import Affine
from .primitives import Expr, Layer, Scope, layer_words, module_of, parameters
from .primitives.expr import Input
from .primitives.layer_words import LAYER_WORDS
from .primitives.moments import Kind, Moment, Over

_FIXED = "its forward branches on self.training or has optional arguments, and is not rewritten"


@dataclass(frozen=True)
class Replacement:
    """What became of one place of a model.

    Args:
        place: qualified name of a module, or of a call in a forward, such as `relu_1()`.
        was: its kind, with that of the activation that went with it.
        became: layer, function, affine or left.
        reason: why; empty where there is nothing to say.
    """

    place: str
    was: str
    became: str
    reason: str = ""


Rows = dict[fx.Node, Replacement]


@dataclass
class Editor:
    """A model under conversion."""

    model: nn.Module
    notes: list[str] = field(default_factory=list)

    def put(self, old: nn.Module, new: nn.Module) -> None:
        """The new module in all places of the old one, in its mode of training."""
        new.training = old.training
        if old is self.model:
            self.model = new
        for parent in list(self.model.modules()):
            for name, child in list(parent._modules.items()):
                if child is old:
                    setattr(parent, name, new)

    def adapted(self, new: nn.Module, tensor: Tensor | None = None) -> nn.Module:
        """The new module on the device and in the dtype of the tensor, or of the model's first."""
        if tensor is None:
            floating = (p for p in self.model.parameters() if p.is_floating_point())
            tensor = next(floating, torch.empty(0))
        return new.to(tensor.device, tensor.dtype)

    def needs_graph(self, region: Region, calls: set[fx.Node]) -> set[fx.Node]:
        """Those of the calls that cannot change by exchanging a module: calls of functions, and of
        modules that are called elsewhere too."""
        return {
            call
            for call in calls
            if (module := region.called(call)) is None
            or not calls.issuperset(region.calls(module))
            or _held(self.model, module) > _held(region.module, module)
        }

    def rewrite(self, region: Region) -> None:
        """The traced graph, which has been edited, in place of the region's forward."""
        name = type(region.module).__name__
        graph_module = fx.GraphModule(region.module, region.graph, class_name=name)
        self.put(region.module, graph_module)
        where = region.name or "the model"
        self.notes.append(f"{where} is a GraphModule: its forward is the traced graph")


def replace_norms(editor: Editor, region: Region, expr: Expr, groups: int) -> Rows:
    """Layers for normalisations with activations, affine maps for batch normalisations without."""
    pairs, affine, rows = _roles(region)
    in_graph = editor.needs_graph(region, set(pairs.values()))
    if in_graph and not can_be_edited(region):
        # A norm with several calls goes in all of them or in none, which may spoil another pair.
        while in_graph:
            stuck = {region.called(norm) for norm, found in pairs.items() if found in in_graph}
            for norm in [norm for norm in pairs if region.called(norm) in stuck]:
                rows[norm] = _row(region, norm, "left", _FIXED)
                del pairs[norm]
            in_graph = editor.needs_graph(region, set(pairs.values()))
    made: dict[nn.Module, nn.Module] = {}
    for norm, activation in pairs.items():
        module = region.called(norm)
        made.setdefault(module, _layer(editor, expr, module, groups))
        was = f"{region.kind(norm)}, {region.kind(activation)}"
        reason = _about_gamma(made[module], module)
        rows[norm] = Replacement(region.place(norm), was, "layer", reason)
    for norm in affine:
        module = region.called(norm)
        made.setdefault(module, _affine(editor, module))
        rows[norm] = _row(region, norm, "affine", "no activation after it")
    gone = set(pairs.values())
    for node in region.graph.nodes:
        if region.is_activation(node) and node not in gone:
            rows[node] = _row(region, node, "left", "no normalisation replaced right before it")
    for activation in gone - in_graph:
        made.setdefault(region.called(activation), nn.Identity())
    for old, new in made.items():
        editor.put(old, new)
    for norm, activation in pairs.items():
        if activation in in_graph:
            activation.replace_all_uses_with(norm)
            region.graph.erase_node(activation)
    if in_graph:
        editor.rewrite(region)
    return rows


def replace_activations(
    editor: Editor,
    region: Region,
    expr: Expr,
    example: Tensor | tuple[Tensor, ...] | None,
    groups: int,
) -> Rows:
    """The function for each activation, with parameters of its own in each place."""
    words, trained = layer_words(expr), parameters(expr)
    by_channel = bool(words) or any(p.scope is Scope.CHANNEL for p in trained)
    if by_channel and example is not None and not region.name:
        _measure(region, example)
    rows: Rows = {}
    made: dict[fx.Node, nn.Module] = {}
    for node in filter(region.is_activation, region.graph.nodes):
        width = _width(region, node)
        if by_channel and width is None:
            reason = "its number of channels is unclear; give an example of the input"
            rows[node] = _row(region, node, "left", reason)
        else:
            channels, dim = width or (None, 1)
            made[node] = editor.adapted(module_of(expr, channels, dim, groups))
    in_graph = editor.needs_graph(region, set(made))
    if trained or words:
        in_graph |= {node for node in made if len(region.calls(region.called(node))) > 1}
    if in_graph and not can_be_edited(region):
        for node in in_graph:
            rows[node] = _row(region, node, "left", _FIXED)
            del made[node]
        in_graph = set()
    rows |= {node: _row(region, node, "function") for node in made}
    for node, new in made.items():
        if node in in_graph:
            _call_instead(region, node, new)
        else:
            editor.put(region.called(node), new)
    if in_graph:
        editor.rewrite(region)
    return rows


def _roles(region: Region) -> tuple[dict[fx.Node, fx.Node], list[fx.Node], Rows]:
    """Pairs of a normalisation and its activation; batch normalisations without; those to leave."""
    pairs: dict[fx.Node, fx.Node] = {}
    affine: list[fx.Node] = []
    rows: Rows = {}
    for norm in filter(region.is_norm, region.graph.nodes):
        module = region.called(norm)
        calls = region.calls(module)
        activation = region.activation_after(norm)
        paired = [region.activation_after(call) is not None for call in calls]
        if isinstance(module, TOKEN_NORMS) and len(module.normalized_shape) > 1:
            rows[norm] = _row(region, norm, "left", "it normalises over several axes")
        elif activation is not None and all(paired):
            pairs[norm] = activation
        elif any(paired):
            rows[norm] = _row(region, norm, "left", "not all of its calls have an activation")
        elif reason := next(filter(None, (_against_affine(region, call) for call in calls)), ""):
            rows[norm] = _row(region, norm, "left", reason)
        else:
            affine.append(norm)
    return pairs, affine, rows


def _against_affine(region: Region, norm: fx.Node) -> str:
    """Why a normalisation with no activation right after it stays; empty if it need not."""
    if type(region.called(norm)) not in BATCH_NORMS:
        return "no activation right after it"
    if all(read.op == "placeholder" for read in norm.all_input_nodes) and not region.name:
        return "it normalises the model's input"
    later = region.nonlinear_after(norm)
    if later is None:
        return ""
    if later.op == "output":
        return f"what comes after {region.name} was not traced"
    between = " and ".join(dict.fromkeys(region.kind(user) for user in norm.users))
    return f"{between} before the {region.kind(later)}, so that only it normalises"


def _row(region: Region, node: fx.Node, became: str, reason: str = "") -> Replacement:
    return Replacement(region.place(node), region.kind(node), became, reason)


def _held(model: nn.Module, module: nn.Module) -> int:
    """In how many places of the model the module is."""
    return sum(child is module for m in model.modules() for child in m._modules.values())


def _layer(editor: Editor, expr: Expr, norm: Any, groups: int) -> nn.Module:
    channels, dim = _width_of(norm)
    made = editor.adapted(Layer(expr, channels, dim, groups), _tensor_of(norm))
    _copy_affine(norm, made)
    if getattr(norm, "running_mean", None) is not None:
        mean, variance = norm.running_mean, norm.running_var
        seen = {Kind.MEAN: mean, Kind.STD: variance, Kind.RMS: variance + mean.square()}
        for number, node in enumerate(layer_words(expr)):
            word = LAYER_WORDS[node.operator.name]
            if not isinstance(word, Moment) or word.over is not Over.BATCH:
                continue
            if node.arguments == (Input("x"),):
                getattr(made, f"_running_{number}").copy_(seen[word.kind])
    return made


def _affine(editor: Editor, norm: Any) -> nn.Module:
    made = editor.adapted(Affine(*_width_of(norm)), _tensor_of(norm))
    _copy_affine(norm, made)
    return made


def _width_of(norm: Any) -> tuple[int, int]:
    """Channels of a normalisation, and their axis."""
    if isinstance(norm, TOKEN_NORMS):
        return norm.normalized_shape[0], -1
    return norm.num_channels if isinstance(norm, nn.GroupNorm) else norm.num_features, 1


def _tensor_of(norm: Any) -> Tensor | None:
    """One of its floating tensors, if it has any."""
    return norm.weight if norm.weight is not None else getattr(norm, "running_mean", None)


def _copy_affine(norm: Any, made: nn.Module) -> None:
    # RMSNorm has no bias.
    for name, given in (("gamma", norm.weight), ("beta", getattr(norm, "bias", None))):
        parameter = getattr(made, name, None)
        if given is not None and parameter is not None and parameter.shape == given.shape:
            with torch.no_grad():
                parameter.copy_(given)
            parameter.requires_grad_(given.requires_grad)


def _about_gamma(made: Any, norm: Any) -> str:
    if norm.weight is None or norm.weight.is_meta or norm.weight.any():
        return ""
    if getattr(made, "gamma", torch.empty(0)).shape == norm.weight.shape:
        return "its weight was 0, and so is gamma"
    return "its weight was 0, but the formula has no gamma by channel"


def _width(region: Region, node: fx.Node) -> tuple[int, int] | None:
    """(channels, channel axis) of what a call reads; None if it is unclear."""
    found = region.width_before(node)
    read = node.all_input_nodes[0]
    shape: tuple[int, ...] = ()
    if "tensor_meta" in read.meta:
        shape = tuple(read.meta["tensor_meta"].shape)
    # Of three axes either of two may be that of channels.
    if found is None and len(shape) > 1 and len(shape) != 3:
        return shape[1], 1
    return found


def _measure(region: Region, example: Tensor | tuple[Tensor, ...]) -> None:
    """Write the shape of each result into the graph."""
    given = example if isinstance(example, tuple) else (example,)
    module = copy.deepcopy(region.module).eval()
    with torch.no_grad():
        shapes = ShapeProp(fx.GraphModule(module, region.graph))
        try:
            shapes.propagate(*given)
        except Exception as error:
            what = ", ".join(str(tuple(getattr(one, "shape", ()))) for one in given)
            raise ConfigError(
                f"the model does not take the example of shape {what}: {type(error).__name__}; "
                "give one that it takes"
            ) from error


def _call_instead(region: Region, node: fx.Node, new: nn.Module) -> None:
    number = 0
    while hasattr(region.module, f"activation_{number}"):
        number += 1
    region.module.add_module(f"activation_{number}", new)
    with region.graph.inserting_after(node):
        call = region.graph.call_module(f"activation_{number}", (node.all_input_nodes[0],))
    node.replace_all_uses_with(call)
    region.graph.erase_node(node)
