"""The loop: propose, train, record, observe. Resuming is the same loop over a longer journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..errors import RunError, TaskError
from ..evaluators.cost_model import CostModel
from ..evaluators.new_functions import NewFunctionScreen
from ..evaluators.pool import Pool
from ..evaluators.result import Job, Result, Status
from ..primitives import Expr, baselines, inputs, known_functions, node_count, parse
from ..runs.journal import BASELINES, FINALS, SEARCH, Entry
from ..runs.leaderboard import ranked
from ..runs.run import Run
from .candidates import Candidate, candidates
from .config import Config
from .finals import Arm, FinalJob, contenders, final_jobs, finals_table, sweep_jobs
from .objectives import COMPLEXITY, COST
from .proposer import Proposer
from .strategies import Observation

_SEARCH_SEED, _SWEEP_SEED, _FINAL_SEED = 1, 2, 3
_REFRESH_SECONDS = 0.5


@dataclass
class Progress:
    """Where a run stands, for people; nothing is decided by it."""

    stage: str = "baselines"
    done: int = 0
    total: int = 0
    proposed: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    trained: int = 0
    stopped: int = 0
    turned_down: int = 0
    """by the rejection protocols, on a worker"""
    failed: int = 0
    best_score: float | None = None
    best_formula: str = ""
    fresh: int = 0
    """trainings of this stage that were done by this process, not read from the journal"""
    stage_started: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float | None:
        """Of this stage, at the rate so far; None before the first training ended."""
        if not self.fresh:
            return None
        return (time.monotonic() - self.stage_started) / self.fresh * (self.total - self.done)


class Engine:
    """One run on its way.

    Args:
        config: resolved.
        run: opened for writing; results that it holds are not trained again.
        pool: trains.
        spectrum: features of a candidate on the run's task, for strategies that ask for them.
        show: called with the progress whenever it changed, and every half second.
    """

    def __init__(
        self,
        config: Config,
        run: Run,
        pool: Pool,
        spectrum: Callable[[Expr], np.ndarray],
        show: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self.config, self.run, self.pool, self.show = config, run, pool, show
        self.spectrum = spectrum
        self.progress = Progress()
        self.protocols = config.rejection if config.rejection.any else None
        self.cost_model = CostModel(config.costs)
        self.known = baselines(
            config.space.inputs,
            replaces_norm=config.space.replaces_norm,
            batch_statistics=config.screens.batch_statistics,
        )
        searched = run.journal.entries(SEARCH)
        settled = [*searched, *(run.journal.entries(BASELINES) if searched else ())]
        # What failed outside the search may have failed for want of time or memory: it is tried
        # again, for no proposal depends on it.
        repeatable = [*run.journal.entries(BASELINES), *run.journal.entries(FINALS)]
        self.recorded = {
            entry.job.key: entry
            for entry in (
                *(e for e in repeatable if e.result.status is not Status.FAILED),
                *settled,
            )
        }
        self.waiting: dict[str, tuple[str, Entry]] = {}
        self.best_objective = float("-inf")

    def search(self) -> None:
        """Train the baselines, then candidates up to the budget or until none is new.

        Raises:
            TaskError: no baseline could be trained, so the task is broken.
            RunError: the journal does not belong to this configuration or code.
        """
        config = self.config
        strategy = config.make_strategy(self.spectrum)
        for entry in self._train_baselines():
            strategy.observe(self._observation(entry))
        screen = NewFunctionScreen(config.screens, list(known_functions().values()))
        proposer = Proposer(strategy, screen, config.seed, config.search.patience)
        self._start_stage("search", config.budget)
        entries: list[Entry] = []

        def observation(index: int) -> Observation:
            return self._observation(self._result_of(entries[index].job))

        for candidate in candidates(config, proposer, observation):
            entries.append(self._submit_candidate(len(entries), candidate, proposer))
            self._collect(timeout=0)
        for entry in entries:
            self._result_of(entry.job)
        self.run.journal.set_attribute(
            "search",
            {
                "proposed": proposer.proposed,
                "rejected": dict(sorted(proposer.rejected.items())),
                "trained": len(entries),
                "exhausted": len(entries) < config.budget,
            },
        )

    def finals(self) -> None:
        """Sweep learning rates, train finalists and baselines with fresh seeds, and compare."""
        settings = self.config.finals
        if not settings.finalists:
            return
        searched = [e for e in self.recorded.values() if e.job.key.startswith(f"{SEARCH}/")]
        complete = [e for e in ranked(searched) if e.result.status is Status.COMPLETE]
        candidates = contenders(complete, settings.contenders, {b.name for b in self.known})
        known = [Arm(b.name, b.expr.text, candidate=False) for b in self.known]
        # Without a candidate there is nothing to compare.
        arms = [*candidates, *known] if candidates else []
        sweep = sweep_jobs(arms, self.config, self._seeds(_SWEEP_SEED, settings.sweep_seeds))
        swept = self._train_all("learning rates", sweep)
        seeds = self._seeds(_FINAL_SEED, settings.seeds)
        finals = final_jobs(arms, self.config, seeds, sweep, swept)
        ended = self._train_all("finals", finals)
        self.run.journal.set_attribute("finals", finals_table(finals, ended, self.config))

    def _train_baselines(self) -> list[Entry]:
        rungs, rate = self.config.training.rungs, self.config.training.learning_rate
        (seed,) = self._seeds(_SEARCH_SEED, 1)
        jobs = [
            Job(f"{BASELINES}/{b.name}", b.expr.text, seed, rate, rungs, protocols=self.protocols)
            for b in self.known
        ]
        self._start_stage("baselines", len(jobs))
        for index, (job, baseline) in enumerate(zip(jobs, self.known, strict=True)):
            details = {"index": index, **self._priced(baseline.expr)}
            self._submit(BASELINES, job, baseline.name, details)
        entries = [self._result_of(job) for job in jobs]
        # A task may train functions of x and lack what those of u and v need.
        results = [
            entry.result
            for entry, baseline in zip(entries, self.known, strict=True)
            if inputs(baseline.expr) == self.config.space.inputs
        ]
        if all(result.standing is None for result in results):
            names, first = " and ".join(self.config.space.inputs), results[0]
            raise TaskError(
                f"task {self.config.task.name} trained none of the {len(results)} known "
                f"activations of {names}: {first.reason or first.status}; mend the task and "
                "launch a new run"
            )
        return entries

    def _submit_candidate(self, index: int, candidate: Candidate, proposer: Proposer) -> Entry:
        training = self.config.training
        (seed,) = self._seeds(_SEARCH_SEED, 1)
        job = Job(
            key=f"{SEARCH}/{index}",
            formula=candidate.proposal.expr.text,
            seed=seed,
            learning_rate=training.learning_rate,
            rungs=training.rungs,
            thresholds=candidate.thresholds,
            protocols=self.protocols,
        )
        details = {
            "index": index,
            "decisions": dict(candidate.proposal.decisions),
            "known": candidate.known or None,
            "proposed": proposer.proposed,
            "rejected": dict(sorted(proposer.rejected.items())),
            **self._priced(candidate.proposal.expr),
        }
        self.progress.proposed = proposer.proposed
        self.progress.rejected = dict(proposer.rejected)
        return self._submit(SEARCH, job, f"#{index}", details)

    def _priced(self, expr: Expr) -> dict[str, Any]:
        """What the run weighs of an expression besides its score; empty where that is nothing."""
        search = self.config.search
        prices: dict[str, Any] = {}
        if search.cost_weight:
            prices["penalty"] = self.cost_model.penalty(expr, search.cost_weight)
        if len(search.objectives) > 1:
            values = {
                COMPLEXITY: lambda: node_count(expr),
                COST: lambda: self.cost_model.cost(expr),
            }
            prices["costs"] = {name: values[name]() for name in search.objectives[1:]}
        return prices

    def _observation(self, entry: Entry) -> Observation:
        return Observation(
            parse(entry.job.formula),
            entry.details.get("decisions"),
            entry.result,
            entry.standing,
            tuple(entry.details.get("costs", {}).values()),
            entry.result.parts if self.config.by_anchor else (),
        )

    def _submit(
        self, study: str, job: Job, label: str, details: dict[str, Any] | None = None
    ) -> Entry:
        """Hand a job to the pool, unless the journal has its result."""
        entry = Entry(job, Result(job.key, Status.FAILED), label, details or {})
        recorded = self.recorded.get(job.key)
        if recorded is None:
            self.waiting[job.key] = (study, entry)
            self.pool.submit(job)
            return entry
        if recorded.job != job:
            there, here = asdict(recorded.job), asdict(job)
            differs = next(name for name in here if there[name] != here[name])
            raise RunError(
                f"{self.run.journal.path}: {differs} of {job.key} is '{there[differs]}' there and "
                f"'{here[differs]}' here; the run was made by other code, finish it with actsearch "
                f"{self.config.versions.get('actsearch', 'as launched')} or launch a new one"
            )
        self._count(recorded)
        return recorded

    def _collect(self, timeout: float) -> None:
        """Record what has come in; each result is on disk before anything depends on it."""
        for result in self.pool.collect(timeout):
            study, asked = self.waiting.pop(result.key)
            entry = Entry(asked.job, result, asked.label, asked.details)
            self.run.journal.append(study, entry)
            self.recorded[result.key] = entry
            self.progress.fresh += 1
            self._count(entry)
        self.show(self.progress)

    def _count(self, entry: Entry) -> None:
        progress, result = self.progress, entry.result
        progress.done += 1
        if not entry.job.key.startswith(f"{SEARCH}/"):
            return
        progress.trained += 1
        progress.stopped += result.status is Status.STOPPED
        progress.turned_down += result.status is Status.REJECTED
        progress.failed += result.status in (Status.DIVERGED, Status.FAILED)
        if result.status is Status.COMPLETE and entry.standing is not None:
            if progress.best_score is None or entry.standing[1] > self.best_objective:
                progress.best_score, progress.best_formula = result.score, entry.job.formula
                self.best_objective = entry.standing[1]

    def _result_of(self, job: Job) -> Entry:
        while job.key not in self.recorded:
            self._collect(_REFRESH_SECONDS)
        return self.recorded[job.key]

    def _train_all(self, stage: str, jobs: Sequence[FinalJob]) -> dict[str, Result]:
        self._start_stage(stage, len(jobs))
        for final in jobs:
            self._submit(FINALS, final.job, final.arm.label)
        return {final.job.key: self._result_of(final.job).result for final in jobs}

    def _start_stage(self, stage: str, total: int) -> None:
        self.progress.stage, self.progress.total = stage, total
        self.progress.done = self.progress.fresh = 0
        self.progress.stage_started = time.monotonic()
        self.show(self.progress)

    def _seeds(self, purpose: int, count: int) -> list[int]:
        """Seeds of trainings, others for each purpose and run."""
        state = np.random.SeedSequence([self.config.seed, purpose]).generate_state(count)
        return [int(word) >> 1 for word in state]
