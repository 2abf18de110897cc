"""Models that several tests of Module use."""

from __future__ import annotations

import numpy as np

from lucid import nn
from tests.helpers import spaced


class Block(nn.Module):
    def __init__(self, size=3):
        super().__init__()
        self.linear = nn.Linear(2, size)
        self.scale = nn.Parameter(spaced(size))
        self.mean = nn.Buffer(np.zeros(size))
        self.note = "plain"

    def forward(self, x):
        return self.linear(x) * self.scale - self.mean


class Tree(nn.Module):
    def __init__(self):
        super().__init__()
        self.left = Block()
        self.weight = nn.Parameter([1.0])
        self.right = self.left
        self.tied = self.left.scale
        self.other = nn.Sequential(nn.Linear(3, 1), nn.ReLU())
        self.none = None

    def forward(self, x):
        return self.other(self.right(self.left(x)[..., :2]))


def names(pairs):
    return [name for name, _ in pairs]
