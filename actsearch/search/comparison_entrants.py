"""Who takes part in a comparison: the functions named, each once, and members of the zoo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch

from ..errors import ConfigError
from ..evaluators.network import activation_of, built_model, network_names
from ..evaluators.pool import describe
from ..evaluators.screens import DuplicateScreen, fingerprint
from ..evaluators.tasks import Splits, Task, check_splits
from ..primitives import (
    Expr,
    inputs,
    known_activations,
    layer_words,
    parse,
    reads_batch,
    takes_norms_place,
)
from .comparison_config import ComparisonConfig, Entrant, halving_rounds
from .config import Config, TaskSettings, resolve
from .functions import Named, named_function
from .options import ZOO

STANDARD = (
    *("relu", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "mish"),
    *("softplus", "tanh", "sigmoid", "relu_squared", "hardswish", "snake", "crrelu", "golu"),
)
"""The well-known scalar functions that `--zoo` stands for."""
SURVIVORS = 8
"""Members of the zoo that the halving leaves."""
_TRIED_EXAMPLES = 8


@dataclass
class Entrants:
    """Functions in the order named, equal ones once.

    Args:
        merged: what equals an earlier function, by its label: that one's.
        left_out: members of the zoo that the task cannot train, by name: why.
    """

    task: Task
    named: list[Entrant] = field(default_factory=list)
    members: list[Entrant] = field(default_factory=list)
    merged: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    _seen: DuplicateScreen = field(default_factory=DuplicateScreen)
    _splits: Splits | None = None

    def add(self, text: str) -> str:
        """A function that the user names; gives the label under which it is compared.

        Raises:
            ParseError, RunError: the text names no function.
            ConfigError: the task cannot train it.
        """
        function = named_function(text)
        # Candidates of two runs in folders of one name would be called alike.
        if function.label in self._labels():
            function = replace(function, label=text.strip())
        trouble = self._trouble(function.expr)
        if trouble:
            raise ConfigError(f"{function.label} cannot be compared: {trouble}")
        return self._take(function, self.named)

    def add_members(self, names: Iterable[str]) -> None:
        """Members of the zoo; those that the task cannot train are left out."""
        for name in names:
            known = known_activations()[name]
            trouble = self._trouble(known.expr)
            if trouble:
                self.left_out[name] = trouble
            elif name not in self._labels():
                self._take(Named(name, known.expr), self.members)

    def _labels(self) -> set[str]:
        return {entrant.label for entrant in (*self.named, *self.members)}

    def _take(self, function: Named, into: list[Entrant]) -> str:
        mark = fingerprint(function.expr)
        twin = self._seen.find(mark)
        if twin is not None:
            if function.label != twin:
                self.merged[function.label] = twin
            return twin
        self._seen.remember(mark, function.label)
        # Through its text, as a worker reads it: what cannot go there must not start.
        text = parse(function.expr.text).text
        into.append(Entrant(function.label, text, takes_norms_place(function.expr)))
        return function.label

    def _trouble(self, expr: Expr) -> str:
        """Why the task cannot train a function; empty if it can."""
        names = inputs(expr)
        if names not in (("x",), ("u", "v")):
            read = f"reads {', '.join(names)}" if names else "reads no input"
            return f"it {read}; a function reads x, or u and v"
        if reads_batch(expr) and not self.task.batch_statistics:
            return "it mixes the examples of a batch, which the task forbids"
        if self._splits is None:
            self._splits = check_splits(self.task.load())
        activation = activation_of(self.task, expr, normalises=takes_norms_place(expr))
        examples = self._splits.train.inputs[:_TRIED_EXAMPLES]
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                for network in network_names(self.task):
                    built_model(self.task, network, expr, activation, 0, "cpu")(examples)
        except Exception as error:  # whatever a user's model raises is the answer
            return f"the task's model takes no such function ({describe(error)})"
        return ""


def zoo_names(which: str) -> Sequence[str]:
    """Names of the standard set, or of all known functions of one number."""
    if which == "standard":
        return STANDARD
    known = known_activations()
    return [
        name
        for name, row in known.items()
        if inputs(row.expr) == ("x",) and not layer_words(row.expr)
    ]


def comparison_settings(
    names: Sequence[str],
    task: TaskSettings,
    *,
    against: str | None = None,
    zoo: str | None = None,
    seeds: int = 10,
    seed: int = 0,
) -> ComparisonConfig:
    """The settings of a comparison, every default of the task filled in.

    Args:
        names: functions as of `named_function`. They and the reference take part to the end.
        against: the reference; else the first function named, or relu where none is.
        zoo: one of `ZOO`, whose members must pass rounds of halving first.

    Raises:
        ActsearchError: a function, the task or a setting is not acceptable.
    """
    if zoo is not None and zoo not in ZOO:
        raise ConfigError(f"zoo '{zoo}' must be one of: {', '.join(ZOO)}")
    resolved, loaded = resolve(Config(task=task))
    entrants = Entrants(loaded)
    for name in names or ([] if against or not zoo else ["relu"]):
        entrants.add(name)
    if against is not None:
        reference = entrants.add(against)
        entrants.named.sort(key=lambda entrant: entrant.label != reference)
    if zoo:
        entrants.add_members(zoo_names(zoo))
    if len(entrants.named) + len(entrants.members) < 2:
        merged = "".join(f"; {name} is {twin} again" for name, twin in entrants.merged.items())
        raise ConfigError(
            f"a comparison needs two different functions, got {len(entrants.named)}{merged}; name "
            "another one, or --zoo"
        )
    return ComparisonConfig(
        entrants=tuple(entrants.named),
        members=tuple(entrants.members),
        rounds=halving_rounds(loaded, len(entrants.members), SURVIVORS),
        merged=entrants.merged,
        left_out=entrants.left_out,
        task=resolved.task,
        learning_rate=resolved.training.learning_rate,
        steps=resolved.training.rungs[-1].steps,
        seed=seed,
        seeds=seeds,
        versions=resolved.versions,
    )
