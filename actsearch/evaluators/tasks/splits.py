"""The three parts of a task's data: one to train on, one to search on, one for the claim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from actsearch.errors import TaskError


@dataclass(frozen=True)
class Split:
    """Examples of one part of the data.

    Args:
        inputs: (N, ...), N >= 1; what the model is called with, in batches.
        targets: (N, ...); what the outputs are compared with; class indices are int64 (N,).

    Raises:
        TaskError: not tensors, no examples, or lengths that differ.
    """

    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        for name, value in (("inputs", self.inputs), ("targets", self.targets)):
            if not isinstance(value, Tensor):
                raise TaskError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
            if value.ndim == 0:
                raise TaskError(f"{name} must have a first axis of examples, got a scalar tensor")
        if len(self.inputs) != len(self.targets):
            raise TaskError(
                f"inputs and targets must be of equal length, got {len(self.inputs)} inputs "
                f"and {len(self.targets)} targets"
            )
        if len(self.inputs) == 0:
            raise TaskError("a split must hold at least one example, got none")

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Splits:
    """Disjoint parts of one data set.

    Args:
        train: gradients come from here, and from nowhere else.
        validation: scores candidates during the search.
        final: scores finalists and baselines once; the search never sees it.
    """

    train: Split
    validation: Split
    final: Split


def check_splits(splits: Splits) -> Splits:
    """The same splits, once what can be checked cheaply holds.

    Disjointness is the task's own promise: copies may be legitimate, so it is not checked.

    Raises:
        TaskError: not `Splits` of `Split`; NaN or infinity in a floating tensor; a part whose
            inputs or targets differ from those of `train` in dtype or in shape after axis 0.
    """
    if not isinstance(splits, Splits):
        raise TaskError(f"load() must return Splits, got {type(splits).__name__}")
    for part in ("train", "validation", "final"):
        split = getattr(splits, part)
        if not isinstance(split, Split):
            raise TaskError(f"{part} must be a Split, got {type(split).__name__}")
        for name in ("inputs", "targets"):
            value, reference = getattr(split, name), getattr(splits.train, name)
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise TaskError(f"{part} {name} hold NaN or infinity; clean the data in load()")
            if value.dtype != reference.dtype or value.shape[1:] != reference.shape[1:]:
                raise TaskError(
                    f"{part} {name} must be like those of train, {_describe(reference)}, "
                    f"got {_describe(value)}"
                )
    return splits


def shuffled_batches(
    split: Split, batch_size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one size for ever, in a new order each epoch; a short rest is dropped."""
    count = len(split.targets)
    size = min(batch_size, count)
    while True:
        order = torch.randperm(count, generator=generator).to(split.inputs.device)
        for start in range(0, count - size + 1, size):
            chosen = order[start : start + size]
            yield split.inputs[chosen], split.targets[chosen]


def hold_out(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices (training, validation) of `count` examples: disjoint, together all, each sorted.

    Validation gets 5,000, but at most a tenth and at least one. RandomState, because numpy
    guarantees its stream for ever and Generator's not.

    Raises:
        TaskError: `count` < 2.
    """
    if count < 2:
        raise TaskError(f"at least 2 training examples are needed, got {count}")
    held = max(1, min(5_000, count // 10))
    order = np.random.RandomState(seed).permutation(count)
    return np.sort(order[held:]), np.sort(order[:held])


def _describe(value: Tensor) -> str:
    shape = ", ".join(["N", *map(str, value.shape[1:])])
    return f"({shape}) {str(value.dtype).removeprefix('torch.')}"
