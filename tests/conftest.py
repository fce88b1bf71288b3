"""Settings for all tests: one torch thread, and hypothesis without chance or clock."""

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("actsearch", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("actsearch")
