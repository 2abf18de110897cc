"""State that gets other shapes, and gradients that are changed in place, between and in calls."""

import numpy as np
import pytest

import lucid
from lucid import JitError, Tensor, nn

BOTH = pytest.mark.parametrize("wrap", [lambda fn: fn, lucid.jit], ids=["eager", "compiled"])


@BOTH
def test_results_follow_the_shape_of_state(wrap):
    b = nn.Buffer(np.ones(1, "f"))

    def fn():
        pair = {"sum": b.sum(), "more": b.sum() * 2}
        return b.shape, pair if b.shape[0] % 2 else dict(reversed(pair.items()))

    call = wrap(fn)
    for n in (2, 3, 2, 3):
        b.data = np.ones(n, "f")
        shape, found = call()
        assert shape == (n,)
        assert {name: y.item() for name, y in found.items()} == {"sum": n, "more": 2 * n}


@BOTH
@pytest.mark.filterwarnings("ignore:Some donated buffers were not usable", "ignore:lucid.jit: ")
def test_a_cache_that_grows_and_begins_anew(wrap):
    cache = nn.Buffer(np.zeros((0, 2), "f"))

    def step(x):
        cache.data = lucid.concatenate([cache, x]).data
        return cache.sum(), cache.shape[0]

    call = wrap(step)
    for _ in range(2):
        cache.data = np.zeros((0, 2), "f")
        found = [call(lucid.ones(1, 2)) for _ in range(3)]
        assert [(total.item(), n) for total, n in found] == [(2, 1), (4, 2), (6, 3)]


@pytest.mark.filterwarnings("ignore:lucid.jit: ")
def test_gradients_of_state_of_other_shapes():
    params = [nn.Parameter(np.ones(2, "f")) for _ in range(9)]

    @lucid.jit
    def step():
        for p in params:
            p.grad = None
        sum((p * p).sum() for p in params).backward()

    for n in (2, 2000, 2):
        params[0].data = np.ones(n, "f")
        step()
        assert [p.grad.shape for p in params] == [(n,), *[(2,)] * 8]
        assert all((p.grad.numpy() == 2).all() for p in params)


def multiplied(w):
    w.grad.mul_(0.5)


def zeroed(w):
    w.grad.zero()


def assigned(w):
    w.grad[0] = 7.0


def replaced(w):
    w.grad.data = w.grad.data * 2


def in_a_branch(w):
    lucid.cond(w.sum() > 0, lambda: multiplied(w), lambda: None)


@BOTH
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (multiplied, [1.5, 3]), (zeroed, [0, 0]), (assigned, [7, 6]), (replaced, [6, 12]),
        (in_a_branch, [1.5, 3]),
    ],
)  # fmt: skip
def test_a_gradient_is_changed_in_place(wrap, change, expected):
    w = nn.Parameter([1.0, 2.0])
    (w * Tensor([3.0, 6.0])).sum().backward()

    @wrap
    def step():
        with lucid.no_grad():
            change(w)

    step()
    assert w.grad.tolist() == expected


def test_a_gradient_that_is_reached_in_two_ways():
    def prepared():
        w, other = nn.Parameter([1.0]), nn.Parameter([1.0])
        (w * 2).sum().backward()
        other.grad = w.grad
        return w, other, w.grad

    def doubled(tensor):
        with lucid.no_grad():
            tensor.mul_(2.0)

    w, other, g = prepared()
    for fn in (
        lambda: (doubled(w.grad), doubled(g))[:0],
        lambda: (doubled(w.grad), doubled(other.grad))[:0],
    ):
        with pytest.raises(JitError, match=r"changes a gradient of shape .* and would take them"):
            lucid.jit(fn)()
    with pytest.raises(JitError, match="changes an argument that is the gradient of a Tensor"):
        lucid.jit(lambda g: (doubled(w.grad), doubled(g))[:0])(g)
    assert (g.item(), w.grad is g, other.grad is g) == (2.0, True, True)


def test_a_group_that_takes_the_place_of_another():
    w = nn.Parameter([1.0])
    optimizer = lucid.optim.SGD([w], lr=0.1)

    @lucid.jit
    def step():
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()

    step()
    optimizer.param_groups[0] = dict(optimizer.param_groups[0]) | {"lr": 1.0}
    step()
    np.testing.assert_allclose(w.item(), -0.1, rtol=1e-6)
