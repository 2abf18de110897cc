"""The graph: when its memory goes, and how its gradients are kept, seen and replaced."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import lucid
from lucid import Tensor
from tests.helpers import leaf

# --- The graph's memory ---------------------------------------------------------------------------


def intermediate(x):
    """A function of x, and weak references to an array and to a node inside its graph."""
    middle = x * 3
    y = (middle * middle).sum()
    return y, weakref.ref(middle.data), weakref.ref(middle._node)


def test_backward_frees_the_arrays_of_the_graph():
    x = leaf(64)
    y, array, node = intermediate(x)
    assert array() is not None
    y.backward()
    assert array() is None
    del y
    assert node() is None


def test_retain_graph_keeps_the_arrays():
    x = leaf(64)
    y, array, node = intermediate(x)
    y.backward(retain_graph=True)
    assert array() is not None
    del y
    assert (array(), node()) == (None, None)


def test_dropping_a_result_frees_its_graph_without_the_collector():
    x = leaf(64)
    gc.disable()
    try:
        y, array, node = intermediate(x)
        del y
        assert (array(), node()) == (None, None)
    finally:
        gc.enable()


def test_nothing_is_kept_without_grad():
    x = leaf(64)
    with lucid.no_grad():
        y = x * 3
        array = weakref.ref(y.data)
        z = y * y
        del y
    assert array() is None
    assert z.is_leaf


def test_dropping_hooked_and_kept_tensors_frees_the_graph():
    x = leaf(64)
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda g: g)
    node = weakref.ref(y._node)
    (y * y).backward()
    del y
    gc.collect()
    assert node() is None


def test_a_recorded_backward_can_be_dropped():
    x = leaf(64)
    y, array, node = intermediate(x)
    (dx,) = lucid.autograd.grad(y, [x], create_graph=True)
    del y
    assert array() is not None  # the gradient was computed from it
    del dx
    gc.collect()
    assert (array(), node()) == (None, None)


# --- Gradients of computed Tensors: kept, seen and replaced ---------------------------------------


def test_retain_grad():
    x = leaf(3)
    y = x * 2
    y.retain_grad()
    z = y * y
    z.backward()
    np.testing.assert_allclose(y.grad.numpy(), 2 * y.numpy(), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), 4 * y.numpy(), rtol=1e-6)
    assert z.grad is None


def test_keep_grad():
    x = leaf(3)
    y = x * 2
    y.keep_grad = True
    y.backward()
    assert y.grad.tolist() == [1, 1, 1]
    z = x * 2
    z.keep_grad = True
    z.keep_grad = False
    z.backward()
    assert z.grad is None


def test_retain_grad_without_gradient():
    with pytest.raises(RuntimeError, match=r"^retain_grad: this Tensor does not require"):
        Tensor([1.0]).retain_grad()


def test_hook_of_a_leaf_sees_the_whole_gradient_once():
    x, seen = leaf(2), []
    x.register_hook(seen.append)
    (x * 2 + x * 3).backward()
    assert [g.tolist() for g in seen] == [[5, 5]]
    assert type(seen[0]) is Tensor
    assert x.grad.tolist() == [5, 5]


def test_hooks_replace_gradients_in_order():
    x = leaf(2)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g + 1)
    y.retain_grad()
    (y * 3).backward()
    assert y.grad.tolist() == [31, 31]
    assert x.grad.tolist() == [62, 62]


def test_hooks_are_removable():
    x = leaf(2)
    first = x.register_hook(lambda g: g * 10)
    second = x.register_hook(lambda g: g + 1)
    first.remove()
    first.remove()
    (x * 2).backward()
    assert x.grad.tolist() == [3, 3]
    second()
    (x * 2).backward()
    assert x.grad.tolist() == [5, 5]


def test_a_hook_that_removes_itself():
    x = leaf(2)
    handles = []

    def once(g):
        handles[0].remove()
        return g * 10

    handles.append(x.register_hook(once))
    for _ in range(2):
        (x * 2).backward()
    assert x.grad.tolist() == [22, 22]


def test_hook_on_one_of_several_outputs():
    x = leaf(4)
    a, b = lucid.split(x, 2)
    b.register_hook(lambda g: g * 10)
    (a.sum() + b.sum()).backward()
    assert x.grad.tolist() == [1, 1, 10, 10]


def test_hook_errors():
    with pytest.raises(RuntimeError, match=r"^register_hook: this Tensor does not require"):
        Tensor([1.0]).register_hook(lambda g: g)
    x = leaf(2)
    x.register_hook(lambda g: lucid.ones(3))
    with pytest.raises(ValueError, match=r"^register_hook: the hook's result has shape \(3,\)"):
        (x * 2).backward()
    y = leaf(2)
    y.register_hook(lambda g: 3.0)
    with pytest.raises(TypeError, match="hook's result must be a Tensor, got float"):
        (y * 2).backward()
    assert x.grad is None
    assert y.grad is None


def test_hooks_see_recorded_gradients_under_create_graph():
    x = leaf(3)
    y = x * x
    y.register_hook(lambda g: g * g)
    dx = lucid.autograd.grad(y * 3, x, create_graph=True)
    np.testing.assert_allclose(dx.numpy(), 18 * x.numpy(), rtol=1e-6)
    assert lucid.autograd.grad(dx, x).tolist() == [18, 18, 18]


PIECES = {
    "chunk": lambda x: lucid.chunk(x, 2),
    "split": lambda x: lucid.split(x, 1),
    "unbind": lucid.unbind,
    "slices": lambda x: (x[:1], x[1:]),
    "sum, reshape, transpose": lambda x: (x.sum(0), x.reshape(-1)[:2], x.T[0], x + 1, x * 3.0),
}


@pytest.mark.parametrize("name", PIECES)
@pytest.mark.parametrize("jitted", [False, True])
def test_pieces_of_one_tensor_are_walked_one_after_the_other(name, jitted):
    x = leaf(2, 3)

    def run():
        base = x * 1.0 if name.startswith("sum") else x
        for piece in PIECES[name](base):
            piece.sum().backward()
        return x.grad

    gradient = (lucid.jit(run) if jitted else run)().numpy()
    x.grad = None
    sum((piece.sum() for piece in PIECES[name](x)), start=Tensor(0.0)).backward()
    np.testing.assert_array_equal(gradient, x.grad.numpy())


@pytest.mark.parametrize(
    "pieces", [lambda x: lucid.topk(x, 2)[0], lambda x: lucid.sort(x)[0], lucid.exp]
)
def test_a_walk_that_needs_values_again_says_that_they_were_freed(pieces):
    x = leaf(4)
    y = pieces(x).sum()
    y.backward()
    before = x.grad.numpy()
    with pytest.raises(RuntimeError, match="was freed by an earlier backward"):
        y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), before)


def test_a_freed_graph_holds_no_array_of_its_operands():
    x, factor = leaf(3), np.array([1.0, 2.0, 3.0], np.float32)
    y = (x * factor).sum()
    product, _ = y._node.edges[0]
    gone = weakref.ref(next(a for a in product.arrays if isinstance(a, np.ndarray)))
    assert gone() is not None and gone() is not factor  # which may change
    y.backward()
    gc.collect()
    assert gone() is None
