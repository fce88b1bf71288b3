"""The example of docs/own-task.md is the file beside it, and it runs."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from actsearch.evaluators.tasks import check_splits, load_task

_DOCS = Path(__file__).parents[3] / "docs"


def test_page_shows_the_file_that_runs():
    page = (_DOCS / "own-task.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert shown == (_DOCS / "my_model.py").read_text(encoding="utf-8")


def test_example_learns(train):
    task = load_task(f"{_DOCS / 'my_model.py'}:Tumours")
    splits = check_splits(task.load())
    assert [len(part) for part in (splits.train, splits.validation, splits.final)] == [
        300,
        100,
        169,
    ]
    model, _ = train(task, splits, task.steps)
    with torch.no_grad():
        score = task.score(model(splits.final.inputs), splits.final.targets)
    assert score > 0.93
