"""The loop: propose, train, record, observe. Resuming is the same loop over a longer journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import TaskError
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
from .progress import Progress
from .proposer import Proposer
from .strategies import Observation
from .trainings import Trainings

_SEARCH_SEED, _SWEEP_SEED, _FINAL_SEED = 1, 2, 3


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
        self.config, self.run, self.spectrum = config, run, spectrum
        self.protocols = config.rejection if config.rejection.any else None
        self.cost_model = CostModel(config.costs)
        self.known = baselines(
            config.space.inputs,
            replaces_norm=config.space.replaces_norm,
            batch_statistics=config.screens.batch_statistics,
        )
        # What failed outside the search is tried again, for no proposal depends on it.
        searched = run.journal.entries(SEARCH)
        self.trainings = Trainings(
            run,
            pool,
            (BASELINES, FINALS),
            config.versions.get("actsearch", "as launched"),
            show,
            settled=[*searched, *(run.journal.entries(BASELINES) if searched else ())],
        )
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
        self.trainings.begin("search", config.budget, self._count)
        jobs: list[Job] = []

        def observation(index: int) -> Observation:
            return self._observation(self.trainings.entry_of(jobs[index]))

        for candidate in candidates(config, proposer, observation):
            jobs.append(self._submit_candidate(len(jobs), candidate, proposer))
            self.trainings.collect(timeout=0)
        for job in jobs:
            self.trainings.entry_of(job)
        self.run.journal.set_attribute(
            "search",
            {
                "proposed": proposer.proposed,
                "rejected": dict(sorted(proposer.rejected.items())),
                "trained": len(jobs),
                "exhausted": len(jobs) < config.budget,
            },
        )

    def finals(self) -> None:
        """Sweep learning rates, train finalists and baselines with fresh seeds, and compare."""
        settings = self.config.finals
        if not settings.finalists:
            return
        searched = [e for e in self.trainings.recorded if e.job.key.startswith(f"{SEARCH}/")]
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
        self.trainings.begin("baselines", len(jobs), self._count)
        for index, (job, baseline) in enumerate(zip(jobs, self.known, strict=True)):
            details = {"index": index, **self._priced(baseline.expr)}
            self.trainings.submit(BASELINES, baseline.name, job, details)
        entries = [self.trainings.entry_of(job) for job in jobs]
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

    def _submit_candidate(self, index: int, candidate: Candidate, proposer: Proposer) -> Job:
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
        progress = self.trainings.progress
        progress.proposed, progress.rejected = proposer.proposed, dict(proposer.rejected)
        self.trainings.submit(SEARCH, f"#{index}", job, details)
        return job

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

    def _count(self, progress: Progress, entry: Entry) -> None:
        result = entry.result
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

    def _train_all(self, stage: str, jobs: Sequence[FinalJob]) -> dict[str, Result]:
        labelled = [(final.arm.label, final.job) for final in jobs]
        return self.trainings.train(stage, FINALS, labelled, self._count)

    def _seeds(self, purpose: int, count: int) -> list[int]:
        """Seeds of trainings, others for each purpose and run."""
        state = np.random.SeedSequence([self.config.seed, purpose]).generate_state(count)
        return [int(word) >> 1 for word in state]
