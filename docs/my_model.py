"""Which activation suits a small network that tells benign from malignant tumours?"""

import torch
from sklearn.datasets import load_breast_cancer
from torch import nn

from actsearch.evaluators.tasks import Split, Splits, Task


class Tumours(Task):
    steps, batch_size, learning_rate = 200, 64, 1e-2

    def load(self):
        inputs, targets = map(torch.from_numpy, load_breast_cancer(return_X_y=True))
        order = torch.randperm(569, generator=torch.Generator().manual_seed(0))
        inputs, targets = inputs[order].float(), targets[order]
        inputs = (inputs - inputs[:300].mean(0)) / inputs[:300].std(0)
        sizes = [300, 100, 169]
        return Splits(*map(Split, inputs.split(sizes), targets.split(sizes)))

    def build_model(self, activation):
        wide = activation.width(32)  # 32; a gated candidate takes 64 to return 32
        layers = [nn.Linear(30, wide), activation(32), nn.Linear(32, wide), activation(32)]
        return nn.Sequential(*layers, nn.Linear(32, 2))

    def augment(self, inputs, generator):  # optional: a little noise on each training batch
        noise = torch.randn(inputs.shape, generator=generator, device=generator.device)
        return inputs + 0.05 * noise.to(inputs.device)
