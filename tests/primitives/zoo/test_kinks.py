"""What the rows say about kinks, against one-sided differences of their values."""

from __future__ import annotations

import pytest
import torch

from actsearch.primitives import evaluate, inputs, known_activations
from actsearch.primitives.analysis.figure import at_initial

STEP = 1e-5
ROWS = [name for name, row in known_activations().items() if inputs(row.expr) == ("x",)]


def jumps(name, at):
    """Jumps of value and slope at these points, beside how large value and slope are there.

    From three points on either side, extrapolated linearly.
    """
    offsets = torch.tensor([-3, -2, -1, 1, 2, 3], dtype=torch.float64) * STEP
    x = torch.tensor(at, dtype=torch.float64)[:, None] + offsets
    y = evaluate(at_initial(known_activations()[name].expr), {"x": x}).expand_as(x)
    slopes = (y[:, 1:] - y[:, :-1]) / (x[:, 1:] - x[:, :-1])
    left = 2.5 * slopes[:, 1] - 1.5 * slopes[:, 0]
    right = 2.5 * slopes[:, 3] - 1.5 * slopes[:, 4]
    value = (2 * y[:, 2] - y[:, 1]) - (2 * y[:, 3] - y[:, 4])
    size = 1 + y[:, 2].abs() + left.abs()
    return value.abs() / size, (left - right).abs() / size


@pytest.mark.parametrize("name", [n for n in ROWS if known_activations()[n].kinks])
def test_smoothness_is_that_at_the_worst_of_the_kinks(name):
    row = known_activations()[name]
    value, slope = (float(jump.max()) for jump in jumps(name, row.kinks))
    worst = -1 if value > 1e-5 else 0 if slope > 1e-4 else 1
    assert row.smoothness is not None
    assert min(row.smoothness, 1) == worst


@pytest.mark.parametrize("name", ROWS)
def test_no_kink_is_left_out(name):
    row = known_activations()[name]
    grid = [k / 20 for k in range(-240, 241)]
    others = [x for x in grid if all(abs(x - k) > 10 * STEP for k in row.kinks)]
    value, slope = jumps(name, others)
    found = [x for x, v, s in zip(others, value, slope, strict=True) if v > 1e-5 or s > 1e-4]
    assert not found
