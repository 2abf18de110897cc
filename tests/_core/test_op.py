"""Compiled operations: when a program is compiled, and when not."""

from __future__ import annotations

import lucid
from lucid import Tensor
from tests.helpers import count_compiles, spaced


def test_nothing_compiles_or_traces_the_second_time():
    def step(data, weights, factor):
        x, w = Tensor(data, requires_grad=True), Tensor(weights, requires_grad=True)
        y = ((x @ w).tanh() * factor - x[0, 1] + lucid.where(x.sum() > 0, 1.0, 2.0)).mean(axis=0)
        y.sum().backward(retain_graph=True)
        dx = lucid.autograd.grad(y, x, create_graph=True)
        (dx * dx).sum().backward()
        return x.grad.numpy(), w.grad.numpy()

    step(spaced(3, 4), spaced(4, 4), 1.5)
    with count_compiles(expect=0):
        step(spaced(3, 4, seed=2), spaced(4, 4, seed=3), 2.5)


def test_an_operation_met_with_a_new_shape_compiles_once():
    x = Tensor(spaced(3, 7))
    with count_compiles(expect=1):
        x * x
    with count_compiles(expect=0):
        x * x
