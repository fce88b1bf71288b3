"""Every setting of a run, with its default. A run directory keeps all of them, resolved."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from .. import __version__
from ..errors import ConfigError
from ..evaluators.result import Protocols, Rung
from ..evaluators.tasks import Task, load_task, task_fingerprint
from ..evaluators.training import full_rungs
from ..evaluators.verdict import StaticLimits
from ..primitives import Expr
from ..primitives.lowering.backends import backend_for
from ..primitives.operators import did_you_mean
from ..primitives.spaces import SPACES, Space, UnaryBinary
from .config_checks import check
from .objectives import ANCHORS, COST
from .strategies import STRATEGIES, Strategy, Surroundings
from .strategies.surrogate import SurrogateSettings


@dataclass(frozen=True)
class SearchSettings:
    """What holds for every strategy.

    Args:
        lookback: proposal i knows the results of candidates 0 to i - lookback, whatever the
            number of workers; at most so many trainings are under way at a time.
        patience: proposals in a row without a new candidate, after which the space counts as
            exhausted.
        objectives: `score` first, or `anchors` for the score of each of the task's networks by
            itself; then what else is to be small: `cost` by the table `costs`, and `complexity`,
            the number of nodes.
        cost_weight: score points that a candidate must bring for each doubling of its cost over
            relu's, by the table `costs`; 0 leaves cost out.
    """

    lookback: int = 16
    patience: int = 2_000
    objectives: tuple[str, ...] = ("score",)
    cost_weight: float = 0.0


@dataclass(frozen=True)
class TaskSettings:
    """What candidates are tried on.

    Args:
        name: of an embedded task, or FILE.py:Class.
        data: folder of its data, if it reads some.
        anchors: those of the task's networks that are used; empty for all.
        groups: most channel groups of a moment; 0 for the task's own.
        fingerprint: sha256 of a user's own file.
    """

    name: str = "mnist1d"
    data: str = ""
    anchors: tuple[str, ...] = ()
    groups: int = 0
    fingerprint: str = ""


@dataclass(frozen=True)
class TrainingSettings:
    """How candidates are trained; what is left out is the task's own.

    Args:
        learning_rate: peak rate of the search; 0 for the task's.
        rungs: steps of each rung, the full training last; empty for the task's.
        keep: share of candidates that a rung lets through. The threshold is that quantile of
            the latest scores at the rung that the strategy knew when the candidate was proposed.
        window: how many of the latest scores make the quantile, so that it rises as the search
            improves.
        least_scores: scores at a rung before it has a threshold.
    """

    learning_rate: float = 0.0
    rungs: tuple[Rung, ...] = ()
    keep: float = 1 / 3
    window: int = 64
    least_scores: int = 10


@dataclass(frozen=True)
class FinalsSettings:
    """How the claim is tested.

    Args:
        task: other data or other networks than the search's; without a name the search's.
        learning_rate, steps: of the finals' task if it is another one; 0 for its own.
        contenders: best candidates that enter the learning-rate sweep, beside all baselines.
        finalists: best of them after the sweep, which are trained again with fresh seeds; 0 for
            no finals.
        learning_rate_factors: rates of the sweep, as multiples of that rate.
        sweep_seeds: fresh seeds of each rate of the sweep, scored on the validation split.
        seeds: fresh paired seeds of the claim, scored on the final split.
        confidence: of the intervals.
    """

    task: TaskSettings = field(default_factory=lambda: TaskSettings(name=""))
    learning_rate: float = 0.0
    steps: int = 0
    contenders: int = 12
    finalists: int = 5
    learning_rate_factors: tuple[float, ...] = (0.5, 1.0, 2.0)
    sweep_seeds: int = 1
    seeds: int = 10
    confidence: float = 0.95


@dataclass(frozen=True)
class Config:
    """A run: its results are a function of these settings and nothing else.

    `space` is one of `SPACES`, and `strategy` the settings of one of `STRATEGIES`; in TOML each is
    a table with a `name`.

    `costs` holds nanoseconds per element by operator, as of `evaluators.cost_model`; launch
    measures it if `cost_weight` asks for it, and resume reads it.
    """

    seed: int = 0
    budget: int = 500
    space: Space = field(default_factory=UnaryBinary)
    strategy: Any = field(default_factory=SurrogateSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    task: TaskSettings = field(default_factory=TaskSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    screens: StaticLimits = field(default_factory=StaticLimits)
    rejection: Protocols = field(default_factory=Protocols)
    finals: FinalsSettings = field(default_factory=FinalsSettings)
    costs: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def strategy_name(self) -> str:
        """The strategy's, as of `STRATEGIES`."""
        kind = type(self.strategy)
        return next(name for name, (settings, _) in STRATEGIES.items() if settings is kind)

    @property
    def models_cost(self) -> bool:
        """Whether a proposal may depend on the cost of candidates."""
        return self.search.cost_weight > 0 or COST in self.search.objectives

    @property
    def by_anchor(self) -> bool:
        """Whether the score of each anchor is an objective, and not their mean."""
        return self.search.objectives[0] == ANCHORS

    @property
    def final_rung(self) -> Rung:
        """The full training of the finals."""
        return Rung(self.finals.steps) if self.finals.steps else self.training.rungs[-1]

    def to_dict(self) -> dict[str, Any]:
        """TOML-ready form; without `costs` if there are none."""
        table = _plain(asdict(self))
        table["space"] = {"name": self.space.name, **table["space"]}
        table["strategy"] = {"name": self.strategy_name, **table["strategy"]}
        return table if self.costs else {k: v for k, v in table.items() if k != "costs"}

    def make_strategy(self, spectrum: Callable[[Expr], np.ndarray]) -> Strategy:
        """The strategy of the configuration, at its start.

        Args:
            spectrum: of a candidate on the run's task, as of `Surroundings`.
        """
        surroundings = Surroundings(
            self.space,
            self.budget,
            len(self.search.objectives) + (len(self.task.anchors[1:]) if self.by_anchor else 0),
            len(self.training.rungs),
            spectrum,
        )
        _, make = STRATEGIES[self.strategy_name]
        return make(surroundings, self.strategy)


def load_config(table: Mapping[str, Any]) -> Config:
    """A configuration from a TOML table; what is missing has its default.

    Raises:
        ConfigError: a setting is unknown, of the wrong type or out of range; names it.
    """
    hints = get_type_hints(Config)
    kinds = {
        "space": SPACES,
        "strategy": {name: settings for name, (settings, _) in STRATEGIES.items()},
    }
    _refuse_unknown({key: None if key in kinds else value for key, value in table.items()}, Config)
    settings = {
        key: _chosen(key, value, kinds[key]) if key in kinds else _validated(key, value, hints[key])
        for key, value in table.items()
    }
    config = Config(**settings)
    check(config)
    return config


def read_config(path: Path) -> dict[str, Any]:
    """The table in a TOML file.

    Raises:
        ConfigError: it is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration file {path}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error}") from None


def without_task_defaults(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table without what a resolved configuration took from its task."""
    left_out = {
        "task": ("data", "anchors", "groups", "fingerprint"),
        "training": ("learning_rate", "rungs"),
        "finals": ("task", "learning_rate", "steps"),
        "screens": ("batch_statistics",),
    }
    return {
        name: {key: value for key, value in section.items() if key not in left_out.get(name, ())}
        if isinstance(section, Mapping)
        else section
        for name, section in table.items()
    }


def resolve(config: Config) -> tuple[Config, Task]:
    """The configuration with every default of the task filled in, and the task.

    Raises:
        ConfigError, TaskError: the task cannot be loaded, or does not fit the settings.
    """
    settings, task = _resolved(config.task)
    finals, shared = config.finals, task.batch_statistics
    if finals.task.name:
        settings_there, other = _resolved(finals.task)
        shared = shared and other.batch_statistics
        finals = replace(
            finals,
            task=settings_there,
            learning_rate=finals.learning_rate or other.learning_rate,
            steps=finals.steps or other.steps,
        )
    config = replace(
        config,
        task=settings,
        training=replace(
            config.training,
            learning_rate=config.training.learning_rate or task.learning_rate,
            rungs=config.training.rungs or full_rungs(task),
        ),
        screens=replace(
            config.screens,
            batch_statistics=config.screens.batch_statistics and shared,
        ),
        finals=finals,
        versions=versions(),
    )
    check(config)
    return config, task


def reload_task(settings: TaskSettings) -> Task:
    """The task of a resolved configuration.

    Raises:
        ConfigError: the user's file changed since launch.
    """
    if task_fingerprint(settings.name) != settings.fingerprint:
        raise ConfigError(
            f"the task file of {settings.name} changed since launch; a run has one task: undo "
            "the change, or launch a new run"
        )
    data = Path(settings.data) if settings.data else None
    return _with_groups(load_task(settings.name, data, settings.anchors), settings.groups)


def _with_groups(task: Task, groups: int) -> Task:
    if groups not in (0, task.groups):
        task.groups = groups
    return task


def _resolved(settings: TaskSettings) -> tuple[TaskSettings, Task]:
    """The settings with absolute paths and all that the task says of itself, and the task."""
    name = settings.name
    file, colon, class_name = name.rpartition(":")
    if colon:
        name = f"{Path(file).resolve()}:{class_name}"
    data = Path(settings.data).resolve() if settings.data else None
    task = _with_groups(load_task(name, data, settings.anchors), settings.groups)
    fingerprint = task_fingerprint(name)
    return TaskSettings(name, str(data or ""), task.anchors, task.groups, fingerprint), task


def versions() -> dict[str, str]:
    """Versions that can influence scores, and what computes activations on this machine's CPU."""
    return {
        "actsearch": __version__,
        "activations": str(backend_for(torch.empty(0))),
        "python": python_version(),
        **{package: version(package) for package in ("torch", "numpy")},
    }


def _chosen(section: str, table: Any, kinds: Mapping[str, type]) -> Any:
    """Settings of the kind that `name` says; the first kind of the configuration's default."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"setting {section}={table!r} must be a table, [{section}]")
    rest = dict(table)
    name = rest.pop("name", _DEFAULT_NAMES[section])
    if not isinstance(name, str):
        raise ConfigError(f"setting {section}.name={name!r} must be a string")
    name, colon, variant = name.partition(":")
    if colon:
        rest["sampler"] = variant
    _check_name(section, name, tuple(kinds))
    _refuse_unknown(rest, kinds[name], section)
    return _validated(section, rest, kinds[name])


def _validated(name: str, value: Any, kind: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in (name, *first["loc"]))
        raise ConfigError(
            f"setting {where}={first['input']!r} is not valid: {first['msg'].lower()}"
        ) from None


_DEFAULT_NAMES = {"space": UnaryBinary.name, "strategy": "surrogate"}


def _check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ConfigError(
            f"unknown {what} '{name}'{did_you_mean(name, known)}; there are: {', '.join(known)}"
        )


def _refuse_unknown(table: Mapping[str, Any], kind: Any, name: str = "") -> None:
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    for key, value in table.items():
        full = f"{name}.{key}" if name else key
        if key not in known:
            raise ConfigError(
                f"unknown setting '{full}'{did_you_mean(key, known)}; there are: {', '.join(known)}"
            )
        if is_dataclass(hints[key]) and isinstance(value, Mapping):
            _refuse_unknown(value, hints[key], full)
        elif get_origin(hints[key]) is tuple and isinstance(value, list | tuple):
            element = get_args(hints[key])[0]
            for part in value:
                if is_dataclass(element) and isinstance(part, Mapping):
                    _refuse_unknown(part, element, full)


def _plain(value: Any) -> Any:
    """Tuples as lists, as TOML and JSON have them."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
