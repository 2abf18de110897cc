"""The tape against torch: the same programs leave the same gradients."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from tests.helpers import spaced

torch = pytest.importorskip("torch")


class Library:
    def __init__(self, lib):
        self.lib = lib
        self.grad, self.no_grad = lib.autograd.grad, lib.no_grad

    def leaf(self, *shape, seed=0):
        data = spaced(*shape, seed=seed).astype(np.float32)
        if self.lib is torch:
            return torch.tensor(data, requires_grad=True)
        return lucid.Tensor(data, requires_grad=True)


PROGRAMS = {}


def program(fn):
    PROGRAMS[fn.__name__] = fn
    return fn


@program
def shared_subexpressions(lib):
    x, w = lib.leaf(3, 4), lib.leaf(4, 2, seed=1)
    h = (x @ w).tanh()
    y = (h * h + h).sum() + (x**3).mean()
    y.backward()
    return [x.grad, w.grad]


@program
def indexing_and_reduction(lib):
    x = lib.leaf(4, 3)
    y = x[[0, 2, 0]] * 2
    z = y[:, 1:].sum() + x[1:, 0].mean() + x[..., -1].max() - x[3].min()
    z.backward()
    return [x.grad]


@program
def in_place(lib):
    x = lib.leaf(4)
    y = x * 1
    y[1:3] = x[1:3] * x[0]
    y += x
    y *= 2
    y[0] = 5.0
    y.sum().backward()
    return [x.grad, y]


@program
def third_order(lib):
    x = lib.leaf(4)
    y = (x**4).sum() + x.sin().sum()
    (a,) = lib.grad(y, [x], create_graph=True)
    (b,) = lib.grad(a.sum(), [x], create_graph=True)
    (c,) = lib.grad(b.sum(), [x])
    return [a, b, c]


@program
def mixed_second_order(lib):
    x, w = lib.leaf(3), lib.leaf(3, seed=1)
    (dx,) = lib.grad((x * w).exp().sum(), [x], create_graph=True)
    return lib.grad((dx * dx).sum(), [x, w])


@program
def backward_inside_a_recorded_backward(lib):
    x, w = lib.leaf(3), lib.leaf(3, seed=1)
    (dx,) = lib.grad((x * x * w).sum(), [x], create_graph=True)
    (dx * dx).sum().backward()
    return [x.grad, w.grad]


@program
def unused_inputs(lib):
    x, w = lib.leaf(3), lib.leaf(3, seed=1)
    dx, dw = lib.grad((x * 2).sum(), [x, w], allow_unused=True)
    return [dx, np.array(dw is None)]


@program
def manual_descent(lib):
    x, w = lib.leaf(5, 3), lib.leaf(3, seed=1)
    losses = []
    for _ in range(5):
        loss = ((x @ w - 1) ** 2).mean()
        loss.backward()
        with lib.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
        losses.append(loss)
    return [w, *losses]


@program
def detached_target(lib):
    x = lib.leaf(3)
    y = x * x
    (y * y.detach()).sum().backward()
    return [x.grad]


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    ours, theirs = (PROGRAMS[name](Library(lib)) for lib in (lucid, torch))
    for a, b in zip(ours, theirs, strict=True):
        a, b = (v if isinstance(v, np.ndarray) else v.detach().numpy() for v in (a, b))
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5)


REFUSALS = {
    "no gradient": lambda lib: lib.leaf(3).detach().sum().backward(),
    "twice": lambda lib: twice((lib.leaf(3) ** 2).sum()),
    "unused": lambda lib: lib.grad(lib.leaf(3).sum(), [lib.leaf(2)]),
    "in place on a leaf": lambda lib: lib.leaf(3).__iadd__(1),
    "retain_grad": lambda lib: lib.leaf(3).detach().retain_grad(),
    "hook": lambda lib: lib.leaf(3).detach().register_hook(lambda g: g),
    "requires_grad of a result": lambda lib: (lib.leaf(3) * 2).requires_grad_(False),
}


def twice(y):
    y.backward()
    y.backward()


@pytest.mark.parametrize("name", REFUSALS)
def test_both_refuse(name):
    for lib in (lucid, torch):
        with pytest.raises(RuntimeError):
            REFUSALS[name](Library(lib))
