"""Settings for all tests: one torch thread, and hypothesis without chance or clock."""

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("actsearch", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("actsearch")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """A test that draws without a seed of its own draws the same every time."""
    torch.manual_seed(0)
