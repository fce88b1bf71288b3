"""Reinforcement learning: a recurrent controller answers the questions of the decision program.

Ramachandran et al. 2017, arXiv:1710.05941, trained such a controller by proximal policy
optimisation (Schulman et al. 2017, arXiv:1707.06347) and published none of its constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ...primitives.spaces import Proposal, propose
from .reward import as_number, undominated_shares
from .settings import check_settings
from .strategy import Observation, Surroundings


@dataclass(frozen=True)
class ReinforceSettings:
    """Sizes and rates of the controller and its training.

    Units, the range of initial weights and the decay of the baseline are those of the same group's
    NASNet, arXiv:1707.07012, from memory. Its learning rate, 3.5e-4, and entropy weight, 1e-5,
    are made for tens of thousands of candidates. The other defaults are ours.

    Args:
        units: width of the one LSTM layer and of the embeddings of answers.
        initial_range: weights start uniform within plus and minus this.
        learning_rate: of Adam.
        entropy_weight: what a nat of entropy in each answer is worth, in rewards.
        baseline_decay: of the moving average of rewards that is taken off a reward.
        batch_size: observed candidates from which the controller is updated at once.
        epochs: gradient steps on each batch.
        clip: ratio of new to old probability, above or below 1, from which on a step brings
            nothing; 0.2 in arXiv:1707.06347.
        draws: answers drawn for one proposal, hotter each time, in search of one that was not
            proposed before.
    """

    units: int = 100
    initial_range: float = 0.1
    learning_rate: float = 1e-2
    entropy_weight: float = 0.01
    baseline_decay: float = 0.95
    batch_size: int = 16
    epochs: int = 4
    clip: float = 0.2
    draws: int = 20

    def __post_init__(self) -> None:
        checks = [
            ("units", self.units >= 1, "at least 1"),
            ("initial_range", 0 < self.initial_range < float("inf"), "above 0"),
            ("learning_rate", 0 < self.learning_rate < float("inf"), "above 0"),
            ("entropy_weight", 0 <= self.entropy_weight < float("inf"), "at least 0"),
            ("baseline_decay", 0 <= self.baseline_decay < 1, "at least 0 and below 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("clip", 0 < self.clip < 1, "between 0 and 1"),
            ("draws", self.draws >= 1, "at least 1"),
        ]
        check_settings(self, checks)


class _Slot(nn.Module):
    """Weights of one question: for the odds of its options, and for what an answer tells."""

    def __init__(self, options: int, units: int) -> None:
        super().__init__()
        self.head = nn.Linear(units, options)
        self.embedding = nn.Embedding(options, units)


@dataclass(frozen=True)
class _Step:
    """A question, the number of its answer, and the log probability with which it was drawn."""

    slot: _Slot
    answer: int
    log_probability: float


_Path = list[_Step]
_Key = frozenset[tuple[str, str]]


class Reinforce:
    """An LSTM that reads each answer and gives the odds of the next one.

    Its reward for a candidate is the share of all observed so far that are not better, from 0 for
    one that diverged to 1 for the best: raw scores would make it depend on the task's scale, and
    say nothing of rungs. With several objectives, better means dominating.

    Results come late, so the odds at the time of the proposal are kept with it. A candidate that
    another strategy proposed is learnt from as if this one had drawn it when it is observed.
    """

    def __init__(self, surroundings: Surroundings, settings: ReinforceSettings) -> None:
        self.space = surroundings.space
        self.settings = settings
        # The same initial weights in every run: they give all options nearly the same odds.
        self._generator = torch.Generator().manual_seed(0)
        self._cell = nn.LSTMCell(settings.units, settings.units)
        self._initialise(self._cell)
        self._optimizer = torch.optim.Adam(self._cell.parameters(), settings.learning_rate)
        self._slots: dict[tuple[str, tuple[str, ...]], _Slot] = {}
        self._proposed: set[_Key] = set()
        self._pending: dict[_Key, _Path] = {}
        self._observed: list[tuple[float, ...]] = []
        self._batch: list[_Path] = []
        self._baseline: float | None = None

    def propose(self, rng: np.random.Generator) -> Proposal:
        def drawn(slot: str, options: Sequence[str], odds: np.ndarray) -> int:
            return int(rng.choice(len(options), p=odds))

        for draw in range(self.settings.draws):
            proposal, path = self._walk(drawn, temperature=1 + draw / self.settings.draws)
            key = frozenset(proposal.decisions.items())
            if key not in self._proposed:
                break
        self._proposed.add(key)
        self._pending.setdefault(key, path)
        return proposal

    def observe(self, observation: Observation) -> None:
        decisions = observation.decisions
        if decisions is None:
            return

        def given(slot: str, options: Sequence[str], odds: np.ndarray) -> int:
            return options.index(decisions[slot])

        key = frozenset(decisions.items())
        if key in self._pending:
            path = self._pending[key]
            # Results come in the order of proposals: what is older was screened out.
            while next(iter(self._pending)) != key:
                del self._pending[next(iter(self._pending))]
            del self._pending[key]
        else:
            _, path = self._walk(given)
        standing, costs = observation.standing, [-cost for cost in observation.costs]
        self._observed.append(
            (float("-inf"),) * (1 + len(costs))
            if standing is None
            else (as_number(standing), *costs)
        )
        self._batch.append(path)
        if len(self._batch) == self.settings.batch_size:
            self._learn()
            self._batch.clear()

    def _walk(
        self, choose: Callable[[str, Sequence[str], np.ndarray], int], temperature: float = 1.0
    ) -> tuple[Proposal, _Path]:
        """Go through the decision program; `choose` gets slot, options and their odds."""
        path: _Path = []
        read = torch.zeros(1, self.settings.units)
        state = (read, read)

        def answer(name: str, options: Sequence[str]) -> str:
            nonlocal read, state
            if len(options) == 1:
                return options[0]
            slot = self._slot(name, options)
            state = self._cell(read, state)
            odds = (slot.head(state[0])[0].double() / temperature).softmax(0)
            chosen = choose(name, options, odds.numpy())
            path.append(_Step(slot, chosen, float(odds[chosen].log())))
            read = slot.embedding.weight[chosen : chosen + 1]
            return options[chosen]

        with torch.no_grad():
            return propose(self.space, answer), path

    def _slot(self, name: str, options: Sequence[str]) -> _Slot:
        key = (name, tuple(options))
        if key not in self._slots:
            slot = _Slot(len(options), self.settings.units)
            self._initialise(slot)
            self._optimizer.add_param_group({"params": list(slot.parameters())})
            self._slots[key] = slot
        return self._slots[key]

    def _initialise(self, module: nn.Module) -> None:
        bound = self.settings.initial_range
        for weights in module.parameters():
            nn.init.uniform_(weights, -bound, bound, generator=self._generator)

    def _learn(self) -> None:
        """Proximal policy optimisation on the batch; an answer has its candidate's advantage."""
        settings = self.settings
        everything = np.array(self._observed)
        rewards = undominated_shares(everything[-len(self._batch) :], everything)
        if self._baseline is None:
            self._baseline = float(rewards.mean())
        advantages = torch.tensor(rewards - self._baseline, dtype=torch.float32)
        for reward in rewards:
            self._baseline += (1 - settings.baseline_decay) * (float(reward) - self._baseline)
        for _ in range(settings.epochs):
            loss = self._loss(advantages)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()

    def _loss(self, advantages: Tensor) -> Tensor:
        """Of the batch, by the controller as it is; the n-th answers of all its paths at once."""
        settings, paths = self.settings, self._batch
        read = torch.zeros(len(paths), settings.units)
        state = (read, read)
        total = torch.zeros(())
        for depth in range(max(len(path) for path in paths)):
            state = self._cell(read, state)
            read = torch.zeros_like(read)
            rows_of: dict[_Slot, list[int]] = {}
            for row, path in enumerate(paths):
                if depth < len(path):
                    rows_of.setdefault(path[depth].slot, []).append(row)
            for slot, rows in rows_of.items():
                steps = [paths[row][depth] for row in rows]
                where = torch.tensor(rows)
                answers = torch.tensor([step.answer for step in steps])
                before = torch.tensor([step.log_probability for step in steps])
                log_odds = slot.head(state[0][where]).log_softmax(1)
                ratio = (log_odds.gather(1, answers[:, None])[:, 0] - before).exp()
                clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
                gain = torch.minimum(ratio * advantages[where], clipped * advantages[where])
                entropy = -(log_odds.exp() * log_odds).sum(1)
                total = total - (gain + settings.entropy_weight * entropy).sum()
                read = read.index_copy(0, where, slot.embedding(answers))
        return total / len(paths)
