"""Python's source as data, the model of it, and CETT against brute force."""

from __future__ import annotations

import math
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from actsearch.errors import TaskError
from actsearch.evaluators.result import Job, Result, Rung, Status
from actsearch.evaluators.tasks import ActivationFactory, check_splits, load_task
from actsearch.evaluators.tasks.cett import bisected, cett, cett_sparsity, sizes, threshold_of
from actsearch.evaluators.tasks.character_model import CharacterModel, FeedForward
from actsearch.evaluators.tasks.python_text import ALPHABET, PythonText
from actsearch.evaluators.training import Trainer

TASK = PythonText()
JOB = Job("search/0", "relu(x)", 0, TASK.learning_rate, (Rung(6),))
RELU = ActivationFactory(lambda channels, dim: nn.ReLU())


def _text(codes: Tensor) -> str:
    return "".join(ALPHABET[code] for code in codes.flatten().tolist())


def test_inputs_are_the_source_and_targets_the_next_characters() -> None:
    splits = check_splits(TASK.load())
    for part, count in ((splits.train, 8000), (splits.validation, 500), (splits.final, 500)):
        assert part.inputs.shape == part.targets.shape == (count, 64)
        assert part.inputs.dtype == torch.int64 and part.inputs.max() < len(ALPHABET) == 96
        assert torch.equal(part.inputs.flatten()[1:], part.targets.flatten()[:-1])
    folder = Path(sysconfig.get_paths()["stdlib"])
    for part, module in ((splits.train, "argparse"), (splits.validation, "configparser")):
        source = (folder / f"{module}.py").read_text(encoding="utf-8")
        assert source.isascii() and "\t" not in source
        assert _text(part.inputs).startswith(source[:30_000])


def test_parts_share_no_module_and_hardly_a_window() -> None:
    splits = TASK.load()
    windows = [
        {row.numpy().tobytes() for row in part.inputs}
        for part in (splits.train, splits.validation, splits.final)
    ]
    assert not windows[0] & windows[1] and not windows[0] & windows[2]
    assert not windows[1] & windows[2]


def test_data_repeat_with_and_without_the_cache(monkeypatch, tmp_path) -> None:
    cached = TASK.load()
    monkeypatch.setenv("ACTSEARCH_CACHE", str(tmp_path))
    fresh = TASK.load()
    assert torch.equal(cached.train.inputs, fresh.train.inputs)
    (file,) = tmp_path.iterdir()
    version = ".".join(map(str, sys.version_info[:3]))
    assert file.name == f"python-text-{version}.npz"


def test_a_python_without_its_source_is_refused_in_one_line(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ACTSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(TaskError) as caught:
        TASK.load()
    assert "argparse.py: No such file" in str(caught.value)
    assert "\n" not in str(caught.value)
    for module in ("argparse", "difflib", "doctest", "enum", "ftplib", "functools", "imaplib"):
        (tmp_path / f"{module}.py").write_text("short\n")
    monkeypatch.setattr("actsearch.evaluators.tasks.python_text._TRAIN", ("argparse", "difflib"))
    with pytest.raises(TaskError, match=r"needs 512001 characters, argparse, difflib .* have 12"):
        TASK.load()


def test_no_character_is_told_of_a_later_one() -> None:
    torch.manual_seed(0)
    model = TASK.build_model(RELU).eval()
    text = torch.randint(0, 96, (2, 64))
    changed = text.clone()
    changed[:, 40:] = torch.randint(0, 96, (2, 24))
    with torch.no_grad():
        one, other = model(text), model(changed)
    assert one.shape == (2, 96, 64)
    assert torch.allclose(one[:, :, :40], other[:, :, :40], atol=1e-5)
    assert not torch.allclose(one[:, :, 40:], other[:, :, 40:], atol=1e-2)


def test_gated_feed_forward_networks_have_as_many_weights() -> None:
    gated = ActivationFactory(lambda channels, dim: _Product(), inputs=2)
    counts = [
        sum(parameter.numel() for parameter in FeedForward(96, activation).parameters())
        for activation in (RELU, gated)
    ]
    assert counts[1] == pytest.approx(counts[0], rel=0.01)


class _Product(nn.Module):
    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        return u * v


def test_weights_start_with_the_gain_behind_the_candidate_and_blind() -> None:
    torch.manual_seed(0)
    model = TASK.build_model(RELU)
    TASK.initialise(model, 3.0)
    for block in model.blocks:
        scale = block.feed_forward.down.weight.std().item() * math.sqrt(256)
        assert scale == pytest.approx(3 / 2, rel=0.05)  # over sqrt(2 layers) = 2
        assert block.feed_forward.up.weight.std().item() * 8 == pytest.approx(1, rel=0.05)
    split = TASK.load().validation
    with torch.no_grad():
        outputs = model(split.inputs[:10])
    assert TASK.score(outputs, split.targets[:10]) == pytest.approx(-math.log2(96))


def test_the_score_is_minus_bits_per_character() -> None:
    logits = torch.tensor([[[2.0], [0.0], [0.0]]]) * math.log(2)  # 4 : 1 : 1
    assert TASK.score(logits, torch.tensor([[0]])) == pytest.approx(math.log2(4 / 6))
    assert TASK.score(logits, torch.tensor([[1]])) == pytest.approx(math.log2(1 / 6))


# CETT


@pytest.fixture
def network() -> tuple[Tensor, Tensor]:
    """Eight neurons of twelve tokens, a fifth of them 0, and the last weights."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(12, 8, generator=generator).double()
    hidden[torch.rand(12, 8, generator=generator) < 0.2] = 0
    return hidden, torch.randn(4, 8, generator=generator).double()


def _brute_cett(hidden: Tensor, weight: Tensor, threshold: float) -> float:
    ratios = []
    for token in hidden:
        outputs = [token[i] * weight[:, i] for i in range(len(token))]
        tail = sum((o for o in outputs if o.norm() < threshold), torch.zeros(4).double())
        ratios.append(float(tail.norm() / sum(outputs).norm()))
    return sum(ratios) / len(ratios)


@pytest.mark.parametrize("threshold", [1e-9, 0.3, 1.0, 2.5, 100.0])
def test_cett_is_that_of_the_definition(network, threshold: float) -> None:
    assert cett(*network, threshold) == pytest.approx(_brute_cett(*network, threshold))


@pytest.mark.parametrize("target", [0.0, 0.1, 0.4])
def test_the_threshold_is_the_largest_of_that_cett(network, target: float) -> None:
    found = threshold_of(*network, target)
    step = float(sizes(*network).max()) * 2**-13
    assert _brute_cett(*network, found) <= target < _brute_cett(*network, found + step)


def test_exact_zeros_are_inactive_at_no_cost(network) -> None:
    hidden, weight = network
    threshold = threshold_of(hidden, weight, 0.0)
    assert threshold > 0
    inactive = sizes(hidden, weight) < threshold
    assert torch.equal(inactive, hidden == 0)


def test_everything_is_inactive_at_a_cett_of_one_and_more(network) -> None:
    hidden, weight = network
    assert (sizes(hidden, weight) < threshold_of(hidden, weight, 1.0 + 1e-9)).all()


def test_bisection_finds_the_edge() -> None:
    assert bisected(lambda number: number <= 0.3, 0.0, 1.0, 20) == pytest.approx(0.3, abs=1e-6)


class _Tiny(nn.Module):
    """Two feed-forward networks of eight neurons one after the other, and a head of three."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.ups = nn.ModuleList(nn.Linear(4, 8) for _ in range(2))
        self.downs = nn.ModuleList(nn.Linear(8, 4, bias=False) for _ in range(2))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor, thresholds: tuple[float, float] = (0.0, 0.0)) -> Tensor:
        for up, down, threshold in zip(self.ups, self.downs, thresholds, strict=True):
            hidden = functional.gelu(up(x))
            hidden = hidden * (sizes(hidden, down.weight) >= threshold)
            x = x + down(hidden)
        return self.head(x)


@torch.no_grad()
def test_sparsity_is_that_of_a_search_over_all_levels() -> None:
    model = _Tiny().double()
    inputs = torch.randn(200, 4).double()
    targets = model(inputs).argmax(dim=1)

    def perplexity(thresholds: tuple[float, float] = (0.0, 0.0)) -> float:
        return math.exp(float(functional.cross_entropy(model(inputs, thresholds), targets)))

    found = cett_sparsity(list(model.downs), perplexity, rise=0.05)

    hidden, x = [], inputs
    for up, down in zip(model.ups, model.downs, strict=True):
        hidden.append(functional.gelu(up(x)))
        x = x + down(hidden[-1])
    best = 0.0
    for level in np.arange(1024) / 1024:
        thresholds = tuple(
            threshold_of(h, down.weight, level) for h, down in zip(hidden, model.downs, strict=True)
        )
        if perplexity(thresholds) > 1.05 * perplexity():
            break
        best = level
    thresholds = [threshold_of(h, d.weight, best) for h, d in zip(hidden, model.downs, strict=True)]
    share = [
        float((sizes(h, d.weight) < t).double().mean())
        for h, d, t in zip(hidden, model.downs, thresholds, strict=True)
    ]
    assert 0.02 < found < 0.98
    assert found == pytest.approx(sum(share) / 2, abs=0.01)
    assert perplexity() == perplexity()  # no hook is left behind


@torch.no_grad()
def test_all_neurons_are_inactive_where_none_matters() -> None:
    model = _Tiny()
    inputs = torch.randn(10, 4)

    def perplexity() -> float:
        model(inputs)
        return 2.0

    assert cett_sparsity(list(model.downs), perplexity, rise=0.01) == 1.0


def _assert_plausible(result: Result) -> None:
    assert result.status is Status.COMPLETE
    assert -math.log2(96) < result.score < -2
    assert 0 <= result.measures["sparsity"] <= 1
    assert 1 < result.measures["perplexity"] < 96


def test_a_short_training_runs_and_repeats() -> None:
    trainer = Trainer(TASK)
    first, second = trainer(JOB), trainer(JOB)
    _assert_plausible(first)
    assert replace(first, seconds=0.0) == replace(second, seconds=0.0)


def test_a_gate_with_trainable_parameters_trains() -> None:
    _assert_plausible(Trainer(TASK)(replace(JOB, formula="u*sigmoid(b[1, channel]*v)")))


def test_it_is_embedded() -> None:
    assert type(load_task("python-text")) is PythonText
    assert isinstance(TASK.build_model(RELU), CharacterModel)
