from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from actsearch.errors import ActsearchError, ConfigError, TaskError
from actsearch.evaluators.tasks import TASKS, load_task, task_fingerprint

_GOOD = """
from __future__ import annotations
from dataclasses import dataclass
from torch import nn
from actsearch.evaluators.tasks import Task

@dataclass
class Options:
    width: int = 3

class Mine(Task):
    steps = 5
    def build_model(self, activation):
        return nn.Linear(Options().width, 2)

class WithData(Mine):
    def __init__(self, data):
        self.data = data

class WithOptional(Mine):
    def __init__(self, data="default"):
        self.data = data

class Fails(Mine):
    def __init__(self):
        raise KeyError("first\\nsecond")

class WrongSteps(Mine):
    steps = 0

class WrongRungs(Mine):
    rungs = (3,)

class Other:
    pass

number = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_task.py"
    path.write_text(_GOOD)
    return path


def _message(spec: str, data: Path | None = None) -> str:
    with pytest.raises(ActsearchError) as caught:
        load_task(spec, data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_embedded_tasks_load_by_name(tmp_path):
    assert list(TASKS) == [
        "mnist1d",
        "mnist1d-mlp",
        "digits",
        "fashion-mnist",
        "cifar10",
        "anchors-mnist1d",
        "anchors-mnist1d-wide",
        "anchors-digits",
        "anchors-digits-wide",
        "anchors-fashion-mnist",
        "anchors-cifar10",
        "digits-continual",
        "python-text",
        "mnist1d-quantised",
        "periodic",
        "image",
        "initial-value",
    ]
    for name, task_class in TASKS.items():
        assert type(load_task(name, tmp_path if "cifar10" in name else None)) is task_class


def test_users_class_loads_and_leaves_no_bytecode(file):
    task = load_task(f"{file}:Mine")
    assert task.steps == 5 and task.batch_size == 100
    assert task.build_model(None).in_features == 3
    assert [path.name for path in file.parent.iterdir()] == ["my_task.py"]


def test_file_changed_within_the_same_second_is_read_anew(file):
    load_task(f"{file}:Mine")
    file.write_text(_GOOD.replace("steps = 5", "steps = 7"))
    assert load_task(f"{file}:Mine").steps == 7


def test_two_files_of_one_name_do_not_mix(file, tmp_path):
    other = tmp_path / "other" / file.name
    other.parent.mkdir()
    other.write_text(_GOOD.replace("steps = 5", "steps = 7"))
    tasks = load_task(f"{file}:Mine"), load_task(f"{other}:Mine")
    assert [task.steps for task in tasks] == [5, 7]


def test_data_reach_a_constructor_that_takes_them(file, tmp_path):
    assert load_task(f"{file}:WithData", tmp_path).data == tmp_path
    assert load_task(f"{file}:WithOptional", tmp_path).data == tmp_path
    assert load_task(f"{file}:WithOptional").data == "default"


@pytest.mark.parametrize("library", ["ray.cloudpickle", "cloudpickle"])
def test_workers_without_the_file_can_have_the_task(file, tmp_path, library):
    pickler = pytest.importorskip(library)
    pickled = tmp_path / "pickled"
    pickled.write_bytes(pickler.dumps(load_task(f"{file}:Mine")))
    file.unlink()
    script = (
        f"import pickle; task = pickle.load(open({str(pickled)!r}, 'rb')); "
        "print(task.steps, task.build_model(None).in_features)"
    )
    worker = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert worker.stdout == "5 3\n"


def test_fingerprint_is_the_hash_of_the_users_file(file):
    assert task_fingerprint(f"{file}:Mine") == hashlib.sha256(_GOOD.encode()).hexdigest()
    assert task_fingerprint("mnist1d") == ""
    with pytest.raises(ConfigError, match="does not exist"):
        task_fingerprint("missing.py:Mine")
    with pytest.raises(ConfigError, match="unknown task"):
        task_fingerprint("missing")


def test_unknown_name_offers_a_near_one_and_the_list():
    message = _message("mnsit1d")
    assert message.startswith("unknown task 'mnsit1d'; did you mean 'mnist1d'?")
    assert "cifar10" in message and "FILE.py:Class" in message
    assert "did you mean" not in _message("zzzzz")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{file}", "names a file but no class; write {file}:Class"),
        ("{file}:", "must be a name (mnist1d, "),
        ("module:Class", "must be a name (mnist1d, "),
        ("{file}x.py:Mine", "task file {file}x.py does not exist"),
        ("{file}:Min", "no class Min in {file}; its tasks: Fails, Mine, WithData"),
        ("{file}:Other", "Other in {file} is a class, but must be a subclass of"),
        ("{file}:number", "number in {file} is a int, but must be a subclass of"),
        ("{file}:WithData", "{file}:WithData needs its data; name their folder by --data PATH"),
        ("cifar10", "task cifar10 needs its data; name their folder by --data PATH"),
        ("{file}:Fails", "constructor of task {file}:Fails raised KeyError: 'first\\nsecond'"),
        ("{file}:WrongSteps", "steps=0 must be a whole number, at least 1"),
        ("{file}:WrongRungs", "rungs=(3,) must be a tuple of Rung"),
    ],
)
def test_wrong_spec_is_refused(file, spec, message):
    assert message.replace("{file}", str(file)) in _message(spec.replace("{file}", str(file)))


def test_folder_in_place_of_a_file_is_refused(tmp_path):
    folder = tmp_path / "folder.py"
    folder.mkdir()
    assert "cannot be read: Is a directory" in _message(f"{folder}:Mine")


def test_data_for_a_task_that_takes_none_are_refused(file, tmp_path):
    assert f"task digits takes no data path, got --data {tmp_path}" in _message("digits", tmp_path)
    assert "takes no data path" in _message(f"{file}:Mine", tmp_path)


def test_data_that_do_not_exist_are_refused(file, tmp_path):
    missing = tmp_path / "missing"
    assert f"--data {missing} does not exist" in _message("fashion-mnist", missing)
    assert f"--data {missing} does not exist" in _message(f"{file}:WithData", missing)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import math\n\n1 / 0\n", "raised ZeroDivisionError on import, line 3: division by zero"),
        (
            "def f():\n  raise OSError('no\\ndata')\nf()\n",
            "raised OSError on import, line 2: no data",
        ),
        ("import json\njson.loads('{')\n", "raised JSONDecodeError on import, line 2: "),
        ("x = (\n", "raised SyntaxError on import, line 1: '(' was never closed"),
        ("import sys\nsys.exit(3)\n", "raised SystemExit on import, line 2: 3"),
        ("import no_such_module_here\n", "line 1: No module named 'no_such_module_here'"),
    ],
)
def test_file_that_raises_is_reported_with_its_line(tmp_path, source, message):
    path = tmp_path / "broken.py"
    path.write_text(source)
    modules = set(sys.modules)
    with pytest.raises(TaskError) as caught:
        load_task(f"{path}:Mine")
    assert f"task file {path} raised" in str(caught.value)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not {name for name in set(sys.modules) - modules if name.startswith("actsearch_task")}
