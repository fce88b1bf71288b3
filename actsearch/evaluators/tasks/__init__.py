"""Tasks: what a candidate is tried on.

A task is data in three disjoint parts (training, validation for the search, final for the
claim), a model that takes the activation as a factory, a loss to minimise and a score to rank
by, higher is better. It says how long to train and how; the trainer does it.

Embedded tasks, by name, in `TASKS`:
    mnist1d        1-D CNN on generated signals; tells functions apart; the default
    mnist1d-mlp    multilayer perceptron on the same signals
    digits         multilayer perceptron on scikit-learn's 8 x 8 digits; seconds, blunt
    fashion-mnist  small CNN on 28 x 28 images; data from Debian's package or --data
    cifar10        pre-activation ResNet-20 on 32 x 32 colour images; data from --data, for a GPU

Tasks on which each candidate is trained in several networks, a pre-activation ResNet, a
MobileNetV2, an EfficientNet and a transformer; for layers that normalise and activate in one:
    anchors-mnist1d, anchors-digits, anchors-fashion-mnist    slim networks
    anchors-mnist1d-wide, anchors-digits-wide                 larger ones, for finals
    anchors-cifar10                                           the sizes of EvoNorm, for a GPU

Tasks that ask for something else than accuracy after a long training (docs/tasks.md):
    digits-continual   classes that arrive one after the other; what is forgotten
    python-text        a transformer for characters of Python source; how sparse its FFNs are
    mnist1d-quantised  the network of mnist1d in four bits with noise
    periodic           sines and a trend, scored outside the interval of training
    image              a photograph as a function of the place in it
    initial-value      motion that obeys an equation, without any data

A user's own is a subclass of `Task` in a file, named FILE.py:Class; see docs/own-task.md.
"""

from .registry import TASKS, load_task, task_fingerprint
from .splits import Split, Splits, check_splits
from .task import ActivationFactory, Task

__all__ = [
    "TASKS",
    "ActivationFactory",
    "Split",
    "Splits",
    "Task",
    "check_splits",
    "load_task",
    "task_fingerprint",
]
