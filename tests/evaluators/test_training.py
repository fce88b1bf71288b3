"""One training: what it depends on, and how it ends."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from tiny_task import AlwaysNan, Tiny
from torch import nn

from actsearch.errors import ParseError
from actsearch.evaluators.result import Job, Result, Rung, Status
from actsearch.evaluators.tasks import ActivationFactory
from actsearch.evaluators.training import Trainer, full_rungs
from actsearch.primitives import Layer, read_formula

JOB = Job("search/0", "mul(x, sigmoid(x))", 5, 0.02, full_rungs(Tiny()))


def outcome(result: Result) -> Result:
    return dataclasses.replace(result, seconds=0.0)


def test_a_result_depends_on_its_job_alone() -> None:
    first = Trainer(Tiny())(JOB)
    other = Trainer(Tiny())
    torch.manual_seed(123)
    other(dataclasses.replace(JOB, formula="tanh(x)", seed=9))
    assert outcome(other(JOB)) == outcome(first)
    assert first.status is Status.COMPLETE
    assert len(first.scores) == 2


def test_the_callers_random_generator_is_left_as_it_was() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    Trainer(Tiny())(JOB)
    assert torch.equal(torch.get_rng_state(), state)


def test_seed_rate_and_formula_matter() -> None:
    base = Trainer(Tiny())(JOB).curve
    for change in ({"seed": 6}, {"learning_rate": 0.05}, {"formula": "relu(x)"}):
        assert Trainer(Tiny())(dataclasses.replace(JOB, **change)).curve != base


def test_a_score_below_the_threshold_stops_there() -> None:
    stopped = Trainer(Tiny())(dataclasses.replace(JOB, thresholds=(1.1,)))
    assert stopped.status is Status.STOPPED
    assert len(stopped.scores) == 1
    assert "below 1.1000 at rung 1" in stopped.reason
    passed = Trainer(Tiny())(dataclasses.replace(JOB, thresholds=(0.0,)))
    assert passed.status is Status.COMPLETE


def test_a_rung_with_its_own_schedule_leaves_the_full_training_untouched() -> None:
    alone = Trainer(Tiny())(dataclasses.replace(JOB, rungs=(Rung(12),)))
    after_rung = Trainer(Tiny())(JOB)
    assert after_rung.scores[-1] == alone.scores[-1]
    assert after_rung.curve == alone.curve


def test_a_rung_on_the_way_scores_the_same_training() -> None:
    on_the_way = Trainer(Tiny())(dataclasses.replace(JOB, rungs=(Rung(5), Rung(12))))
    alone = Trainer(Tiny())(dataclasses.replace(JOB, rungs=(Rung(12),)))
    assert on_the_way.scores[-1] == alone.scores[-1]


def test_a_loss_that_is_not_finite_is_diverged_and_has_no_standing() -> None:
    result = Trainer(AlwaysNan())(JOB)
    assert result.status is Status.DIVERGED
    assert result.standing is None
    assert "not finite" in result.reason


def test_a_score_that_is_not_finite_is_diverged() -> None:
    class NanScore(Tiny):
        def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
            return math.nan

    assert Trainer(NanScore())(JOB).status is Status.DIVERGED


def test_the_final_split_is_scored_only_when_asked_for() -> None:
    class Marked(Tiny):
        def load(self):
            splits = super().load()
            return dataclasses.replace(
                splits,
                final=dataclasses.replace(
                    splits.final, targets=torch.full_like(splits.final.targets, 2)
                ),
            )

        def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
            return float((targets == 2).float().mean())

    assert Trainer(Marked())(JOB).score < 0.6
    final = dataclasses.replace(JOB, split="final")
    assert Trainer(Marked())(final).score == 1


def test_trainable_parameters_train() -> None:
    kept = {}

    class Watched(Tiny):
        def build_model(self, activation):
            kept["model"] = super().build_model(activation)
            return kept["model"]

    formula = "mul(x, sigmoid(mul(beta[1, channel], x)))"
    Trainer(Watched())(dataclasses.replace(JOB, formula=formula))
    beta = dict(kept["model"].named_parameters())["1.beta"]
    assert beta.shape == (8,)
    assert (beta != 1).all()


def test_initial_weights_carry_the_gain_of_the_candidate() -> None:
    stds = {}
    for name in ("relu", "sigmoid"):

        class Wide(Tiny):
            steps, rungs = 1, ()
            learning_rate = 1e-12

            def build_model(self, activation):
                self.last = nn.Linear(400, 400)
                return nn.Sequential(
                    nn.Linear(6, 400), activation(400), self.last, nn.Linear(400, 3)
                )

        task = Wide()
        Trainer(task)(
            dataclasses.replace(
                JOB, formula=str(read_formula(name)), rungs=(Rung(1),), learning_rate=1e-12
            )
        )
        stds[name] = float(task.last.weight.detach().std()) * 20
    assert stds == pytest.approx({"relu": math.sqrt(2), "sigmoid": 1.84622855}, rel=0.02)


class Narrow(Tiny):
    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 4), activation(4), nn.Dropout(0.2), nn.Linear(4, 3))


class Wide(Tiny):
    def build_model(self, activation: ActivationFactory) -> nn.Module:
        return nn.Sequential(
            nn.Linear(6, 16), nn.BatchNorm1d(16), activation(16), nn.Dropout(0.5), nn.Linear(16, 3)
        )


class Anchored(Tiny):
    """Both networks; each has a task of its own above."""

    anchors = ("narrow", "wide")
    rate_factors = {"wide": 0.25}  # noqa: RUF012

    def build_anchor(self, anchor: str, activation: ActivationFactory) -> nn.Module:
        return {"narrow": Narrow, "wide": Wide}[anchor]().build_model(activation)


@pytest.mark.parametrize("rungs", [full_rungs(Tiny()), (Rung(5), Rung(9), Rung(12))])
def test_each_anchor_trains_as_a_task_of_its_own(rungs: tuple[Rung, ...]) -> None:
    job = dataclasses.replace(JOB, rungs=rungs)
    together = Trainer(Anchored())(job)
    narrow = Trainer(Narrow())(job)
    wide = Trainer(Wide())(dataclasses.replace(job, learning_rate=0.25 * 0.02))
    assert together.parts == (narrow.scores[-1], wide.scores[-1])
    assert together.scores == tuple(
        pytest.approx((a + b) / 2) for a, b in zip(narrow.scores, wide.scores, strict=True)
    )
    assert [step for step, _ in together.curve] == [step for step, _ in narrow.curve]
    assert [loss for _, loss in together.curve] == pytest.approx(
        [(a + b) / 2 for (_, a), (_, b) in zip(narrow.curve, wide.curve, strict=True)]
    )
    assert narrow.scores != wide.scores
    assert narrow.parts == ()


def test_the_mean_of_the_anchors_has_to_reach_the_threshold() -> None:
    score = Trainer(Anchored())(JOB).scores[0]
    above = Trainer(Anchored())(dataclasses.replace(JOB, thresholds=(score + 1e-6,)))
    assert (above.status, len(above.scores), len(above.parts)) == (Status.STOPPED, 1, 2)
    assert Trainer(Anchored())(dataclasses.replace(JOB, thresholds=(score,))).scores[0] == score


def test_an_anchor_that_diverges_ends_all_and_is_named() -> None:
    class Broken(Anchored):
        def initialise(self, model: nn.Module, gain: float) -> None:
            super().initialise(model, gain)
            if len(model) == 5:
                nn.init.constant_(model[-1].weight, math.nan)

    result = Trainer(Broken())(JOB)
    assert (result.status, result.standing) == (Status.DIVERGED, None)
    assert result.reason == "loss of wide not finite at step 1"


def test_a_layer_is_built_with_the_groups_of_the_task_in_place_of_a_normalisation() -> None:
    seen: list[tuple[bool, nn.Module]] = []

    class Grouped(Tiny):
        groups = 2

        def build_model(self, activation: ActivationFactory) -> nn.Module:
            seen.append((activation.normalises, activation(8)))
            return nn.Sequential(
                nn.Linear(6, 8), activation.normalised(nn.BatchNorm1d(8), 8), nn.Linear(8, 3)
            )

    job = dataclasses.replace(JOB, formula="x*sigmoid(v1[1, channel]*x)/std_group(x)")
    assert Trainer(Grouped(), normalises=True)(job).status is Status.COMPLETE
    assert Trainer(Grouped())(job).status is Status.COMPLETE
    assert [normalises for normalises, _ in seen] == [True, True, False, False]
    assert all(isinstance(layer, Layer) and layer.groups == 2 for _, layer in seen)


def test_a_layer_of_two_inputs_is_refused() -> None:
    with pytest.raises(ParseError, match=r"moment std_group\(u\) and reads u, v; a layer reads x"):
        Trainer(Tiny())(dataclasses.replace(JOB, formula="u*v/std_group(u)"))


def test_initial_weights_carry_the_gain_of_a_layer() -> None:
    kept = {}

    class Watched(Tiny):
        def build_model(self, activation: ActivationFactory) -> nn.Module:
            kept["last"] = nn.Linear(400, 400)
            return nn.Sequential(
                nn.Linear(6, 400), activation(400), kept["last"], nn.Linear(400, 3)
            )

    formula = "3*relu((x - mean_batch(x))/std_batch(x))"
    job = dataclasses.replace(JOB, formula=formula, rungs=(Rung(1),), learning_rate=1e-12)
    Trainer(Watched())(job)
    std = float(kept["last"].weight.detach().std()) * 20
    assert std == pytest.approx(math.sqrt(2) / 3, rel=0.02)
