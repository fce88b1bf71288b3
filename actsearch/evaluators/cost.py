"""What an activation costs on this machine: time, bytes moved, memory kept for backward."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from ..errors import ConfigError
from ..primitives import Constant, Expr, Input, Parameter, Scope, inputs, layer_words, module_of
from ..primitives.layer_words import LAYER_WORDS
from ..primitives.lowering import backends
from ..primitives.lowering.layer import GROUPS, pieces
from ..primitives.lowering.program import linearise, training_program
from ..primitives.lowering.statistics import statistic
from ..primitives.moments import Moment, group_count
from ..primitives.tensor_words import Takes

_TURNS, _SECONDS = range(10), 0.02
_COUNTED_ROWS, _POSITIONS = 16, 64
_LARGEST = 10**10
OWN = "torch's own"
"""The backend of what is not ours."""


@dataclass(frozen=True)
class Cost:
    """Figures of one activation; times and bytes are per element of its value.

    Args:
        backend: what ran it.
        elements: of each tensor that was timed.
        forward_ns, backward_ns: nanoseconds of a pass, the least of the medians of ten turns;
            with the overheads of a call from Python. The forward pass records for the backward
            pass, as in training; that gives the gradients by inputs and trainable parameters.
        copy_ns: nanoseconds of a copy into new memory, which a pass needs for its result too;
            of the same dtype and size, timed in turns with the passes.
        forward_bytes, backward_bytes: what must move at least. Forward reads the inputs and
            writes the value; backward reads the inputs and the gradient and writes the
            gradients by the inputs.
        copy_bytes: what a copy moves.
        saved_bytes: memory kept for the backward pass, the inputs included, parameters left out.
        eager_saved_bytes: the same if torch's autograd runs the operators one by one.
    """

    backend: str
    elements: int
    forward_ns: float
    backward_ns: float
    copy_ns: float
    forward_bytes: int
    backward_bytes: int
    copy_bytes: int
    saved_bytes: float
    eager_saved_bytes: float

    @property
    def ns(self) -> float:
        """Forward and backward together."""
        return self.forward_ns + self.backward_ns

    @property
    def forward_share(self) -> float:
        """Bytes per second of the forward pass, as a share of the copy's."""
        return self.forward_bytes / self.forward_ns * self.copy_ns / self.copy_bytes

    @property
    def backward_share(self) -> float:
        """Bytes per second of the backward pass, as a share of the copy's."""
        return self.backward_bytes / self.backward_ns * self.copy_ns / self.copy_bytes

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with the sum and the shares."""
        return {
            **asdict(self),
            "ns": self.ns,
            "forward_share": self.forward_share,
            "backward_share": self.backward_share,
        }


def measure_cost(
    expr: Expr,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    elements: int = 1_000_000,
    channels: int = 64,
) -> Cost:
    """Time the expression as a module, on normal inputs of shape (rows, channels).

    A layer is timed in training mode, on examples of 64 positions: (rows / 64,
    channels, 64).

    Args:
        device: cpu or cuda.
        dtype: floating, of inputs and parameters.
        elements: of each input; rounded up to whole rows.
        channels: length of per-channel parameters.

    Raises:
        ConfigError: the expression reads no input, the device is not there, or the tensors do
            not fit into the memory that is free.
    """
    names = inputs(expr)
    if not names:
        raise ConfigError(f"'{expr}' reads no input, so it has no cost per element")
    shape = _shape(elements, channels)
    small_shape: tuple[int, ...] = (_COUNTED_ROWS, shape[1])
    if layer_words(expr):
        shape = (-(-shape[0] // _POSITIONS), shape[1], _POSITIONS)
        small_shape = (_COUNTED_ROWS, shape[1], _POSITIONS)
    check_device(device)
    backend = backends.backend_for(torch.empty(1, dtype=dtype, device=device))
    # Torch operations keep every step, kernels none.
    eager = backend is backends.Backend.EAGER
    read, final = pieces(expr)
    steps = sum(
        len(training_program(part)[0].instructions) * eager + 1
        for part in (final, *(argument for step in read for argument in step.arguments))
    )
    _check_room(shape, len(names), steps, dtype, device)
    module = module_of(expr, channels=shape[1]).to(device=device, dtype=dtype)
    tensors = _drawn(len(names), shape, dtype, device)
    small = _drawn(len(names), small_shape, dtype, device)
    return _measured(
        module,
        tensors,
        list(module.parameters()),
        backend=str(backend),
        eager_saved_bytes=saved_bytes(lambda *given: composition(expr, given), small),
    )


def measure_function(
    function: Callable[[Tensor], Tensor],
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    elements: int = 1_000_000,
    channels: int = 64,
) -> Cost:
    """Time a function of torch in the same way, such as `torch.nn.functional.gelu`.

    Args and errors as of `measure_cost`.
    """
    shape = _shape(elements, channels)
    check_device(device)
    _check_room(shape, 1, 0, dtype, device)
    tensors = _drawn(1, shape, dtype, device)
    saved = saved_bytes(function, tensors)
    return _measured(function, tensors, [], backend=OWN, eager_saved_bytes=saved)


def composition(
    expr: Expr, tensors: Sequence[Tensor], trained: Mapping[str, Tensor] | None = None
) -> Tensor:
    """The expression as it is written, one torch function per operator, for torch's autograd.

    Args:
        tensors: inputs of shape (rows, channels, ...), in alphabetical order of their names. The
            operators are made for float32 and wider, so half precision is converted first.
        trained: values of the trainable parameters, which broadcast; by default their start.
    """
    program = linearise((expr,))
    wide = [t.float() if t.dtype in (torch.float16, torch.bfloat16) else t for t in tensors]
    by_name = dict(zip(inputs(expr), wide, strict=True))
    slots: list[Tensor] = []
    for leaf in program.leaves:
        match leaf:
            case Input(name):
                slots.append(by_name[name])
            case Constant(value):
                slots.append(wide[0].new_tensor(value))
            case Parameter(name) if trained is not None:
                slots.append(trained[name])
            case Parameter(_, initial, scope):
                after = tensors[0].ndim - 2
                size = (tensors[0].shape[1], *[1] * after) if scope is Scope.CHANNEL else ()
                slots.append(wide[0].new_full(size, initial).requires_grad_())
    for instruction in program.instructions:
        arguments = [slots[a] for a in instruction.arguments]
        word = LAYER_WORDS.get(instruction.operator.name)
        if word is None:
            slots.append(instruction.operator.value(*arguments))
            continue
        shape = wide[0].shape
        if isinstance(word, Moment):
            groups = group_count(shape[1], GROUPS)
            found = statistic(word, arguments[0].expand(shape), 1, groups)
        else:
            given = list(zip(word.takes, arguments, strict=True))
            read = [a.expand(shape) for takes, a in given if takes is Takes.TENSOR]
            shares = [float(a) for takes, a in given if takes is Takes.SHARE]
            found = word.module(shape[1], 1, *shares).to(wide[0])(*(read or wide[:1]))
        slots.append(found.expand(shape))
    return slots[program.outputs[0]]


def saved_bytes(function: Callable[..., Tensor], tensors: Sequence[Tensor]) -> float:
    """Bytes per element that autograd keeps after a forward pass.

    Each piece of memory counts once, and only tensors as large as the inputs: what is smaller
    are parameters and constants.
    """
    elements = tensors[0].numel()
    kept: dict[int, int] = {}
    alive: list[Any] = []

    def pack(tensor: Tensor) -> Tensor:
        if tensor.numel() == elements:
            memory = tensor.untyped_storage()
            kept[memory.data_ptr()] = memory.nbytes()
            # Memory given back would come again under the same address.
            alive.append(memory)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = function(*tensors)
    del value
    return sum(kept.values()) / elements


def timers(passes: Sequence[Callable[[], object]], threads: int) -> list[Timer]:
    """A timer for each pass, which is run once here, so that what it builds at first is built.

    Args:
        threads: of torch, while they run.
    """
    for run in passes:
        run()
    return [Timer("run()", globals={"run": run}, num_threads=threads) for run in passes]


def _measured(
    function: Callable[..., Tensor],
    tensors: Sequence[Tensor],
    trained: Sequence[Tensor],
    *,
    backend: str,
    eager_saved_bytes: float,
) -> Cost:
    first, elements, size = tensors[0], tensors[0].numel(), tensors[0].itemsize
    plain = first.detach()
    saved = saved_bytes(function, tensors)
    value = function(*tensors)
    grad = torch.randn_like(value)
    wanted = [*tensors, *trained]
    passes = timers(
        (
            plain.clone,
            lambda: function(*tensors),
            lambda: torch.autograd.grad(value, wanted, grad, retain_graph=True),
        ),
        torch.get_num_threads(),
    )
    # What else the machine does only adds time, so the turn that it disturbed least counts.
    turns = [[p.blocked_autorange(min_run_time=_SECONDS).median for p in passes] for _ in _TURNS]
    copy, forward, backward = (
        min(seconds) / elements * 1e9 for seconds in zip(*turns, strict=True)
    )
    return Cost(
        backend=backend,
        elements=elements,
        forward_ns=forward,
        backward_ns=backward,
        copy_ns=copy,
        forward_bytes=(len(tensors) + 1) * size,
        backward_bytes=(2 * len(tensors) + 1) * size,
        copy_bytes=2 * size,
        saved_bytes=saved,
        eager_saved_bytes=eager_saved_bytes,
    )


def _shape(elements: int, channels: int) -> tuple[int, ...]:
    if not 1 <= elements <= _LARGEST:
        raise ConfigError(f"elements={elements} must be 1 to {_LARGEST:,}")
    width = min(channels, elements)
    return -(-elements // width), width


def _drawn(
    count: int, shape: tuple[int, ...], dtype: torch.dtype, device: str
) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(shape, generator=generator).to(device=device, dtype=dtype).requires_grad_()
        for _ in range(count)
    )


def _check_room(
    shape: tuple[int, ...], count: int, steps: int, dtype: torch.dtype, device: str
) -> None:
    # Inputs, value, gradients and copies; steps, and what is drawn, in float32 at least.
    per_element = dtype.itemsize * (2 * count + 4) + max(dtype.itemsize, 4) * (steps + 1)
    elements = math.prod(shape)
    needed, free = elements * per_element, _free_bytes(device)
    if needed > free:
        raise ConfigError(
            f"{elements:,} elements may need {needed / 2**30:,.1f} GiB and "
            f"{free / 2**30:,.1f} GiB are free; ask for fewer elements"
        )


def check_device(device: str) -> None:
    """Whether torch can use the device.

    Raises:
        ConfigError: it cannot, or the name is neither cpu nor cuda.
    """
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not (kind == "cuda" and number.isdecimal())):
        raise ConfigError(f"unknown device '{device}'; there are cpu and cuda")
    there = torch.cuda.device_count() if kind == "cuda" else 1
    if int(number or 0) >= there:
        raise ConfigError(
            f"there is no device '{device}': torch {torch.__version__} sees {there or 'no'} "
            f"GPU{'s' if there > 1 else ''} here"
        )


def _free_bytes(device: str) -> int:
    if device != "cpu":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        found = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(found.split()[1]) * 1024
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
