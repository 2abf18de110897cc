"""Data, models and steps that several tests of lucid.jit use."""

from __future__ import annotations

import itertools

import numpy as np

import lucid
from lucid import nn

X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)


def linear(seed=0, n_out=2):
    lucid.random.seed(seed)
    return nn.Linear(3, n_out)


def mlp(*sizes, seed=0):
    lucid.random.seed(seed)
    layers = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def sgd(model, **options):
    return lucid.optim.SGD(model.parameters(), **{"lr": 0.1, **options})


def train(model, optimizer):
    """A step as a user writes it."""

    def step(x):
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step
