"""Arguments of compiled functions: Tensors are Tensors, dictionaries keep their order."""

from __future__ import annotations

import collections
import copy
import pickle

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import count_compiles


def zero_and_backward(x):
    x.zero_grad()
    (x * x).sum().backward()


def accumulate(x):
    (x * x).sum().backward()


def clipped(x):
    (x * x).sum().backward()
    nn.utils.clip_grad_norm([x], 1.0)


def forget(x):
    x.grad = None


def scaled(x):
    with lucid.no_grad():
        x.mul_(2)


def assigned(x):
    x.data = (x * 3).data


def scaled_gradient(x):
    (x * x).sum().backward()
    x.grad.data = (x.grad * 0.5).data


FUNCTIONS = [zero_and_backward, accumulate, clipped, forget, scaled, assigned, scaled_gradient]


@pytest.mark.parametrize("fn", FUNCTIONS, ids=lambda fn: fn.__name__)
@pytest.mark.parametrize("hook", [False, True])
@pytest.mark.parametrize("cls", [Tensor, nn.Parameter])
def test_an_argument_is_a_tensor(fn, hook, cls):
    def prepared():
        x = cls([2.0, -3.0], requires_grad=True)
        if hook:
            x.register_hook(lambda grad: grad * 10)
        return x

    eager, argument = prepared(), prepared()
    jitted = lucid.jit(fn)
    for _ in range(3):
        fn(eager)
        jitted(argument)
        np.testing.assert_allclose(argument.numpy(), eager.numpy(), rtol=1e-6)
        assert (argument.grad is None) is (eager.grad is None)
        if eager.grad is not None:
            np.testing.assert_allclose(argument.grad.numpy(), eager.grad.numpy(), rtol=1e-6)
    other = prepared()
    fn(twin := prepared())
    jitted(other)
    np.testing.assert_allclose(other.numpy(), twin.numpy(), rtol=1e-6)


def test_what_an_argument_may_not_do():
    leaf = Tensor([2.0], requires_grad=True)
    with pytest.raises(lucid.JitError, match=r"test_arguments.py:\d+: .*requires_grad of a Tensor"):
        lucid.jit(lambda x: x.requires_grad_(False))(Tensor([1.0], requires_grad=True))
    with pytest.raises(lucid.JitError, match=r"a hook of a Tensor .* was registered or removed"):
        lucid.jit(lambda x: x.register_hook(lambda g: g) and None)(leaf)
    assert not leaf._hooks
    with pytest.raises(lucid.JitError, match=r"backward reached a Tensor .* computed outside"):
        lucid.jit(lambda y: (y * y).sum().backward())(leaf * 3)
    y = leaf * 3
    y.retain_grad()
    with pytest.raises(lucid.JitError, match=r"backward reached a Tensor .* computed outside"):
        lucid.jit(lambda y: (y * y).sum().backward())(y)
    assert y.grad is None and leaf.grad is None


@pytest.mark.parametrize(
    "make",
    [
        lambda pairs: dict(pairs),
        lambda pairs: collections.OrderedDict(pairs),
        lambda pairs: collections.defaultdict(list, pairs),
        lambda pairs: [{"in": dict(pairs)}],
    ],
    ids=["dict", "OrderedDict", "defaultdict", "nested"],
)
def test_dictionaries_keep_their_order(make):
    pairs = [("b", 1.0), ("a", 2.0), (3, 3.0), ((1, "x"), 4.0), (None, 5.0)]

    def values(tree):
        return tree if isinstance(tree, dict) and "in" not in tree else values(tree[0]["in"])

    @lucid.jit
    def fn(tree):
        found = values(tree)
        return lucid.stack(list(found.values())), {k: v * 2 for k, v in found.items()}, tree

    if make([("a", 1)]).__class__ is collections.OrderedDict:
        pairs = pairs[:2]
    tree = make([(key, Tensor(value)) for key, value in pairs])
    stacked, doubled, same = fn(tree)
    assert stacked.tolist() == [value for _, value in pairs]
    assert list(doubled) == [key for key, _ in pairs]
    assert type(same) is type(tree)
    assert list(values(same)) == [key for key, _ in pairs]


def test_other_orders_are_other_programs():
    fn = lucid.jit(lambda **named: lucid.stack(list(named.values())))
    a, b = Tensor(1.0), Tensor(2.0)
    assert fn(a=a, b=b).tolist() == [1.0, 2.0] and fn(b=b, a=a).tolist() == [2.0, 1.0]


@pytest.mark.parametrize("fills", [(1, 1.0, True), (0.0, -0.0, float("nan"))])
def test_static_values_by_type_and_value(fills):
    fn = lucid.jit(lambda x, fill: lucid.full((2,), fill), static_argnames="fill")
    x = Tensor(0.0)
    for fill in (*fills, *fills):
        expected = lucid.full((2,), fill).numpy()
        got = fn(x, fill=fill).numpy()
        assert got.dtype == expected.dtype and got.tobytes() == expected.tobytes()
    with count_compiles(0):
        for fill in fills:
            fn(x, fill=fill)
    assert fn.cache_info().misses == 3


@pytest.mark.parametrize("value", [Tensor(1.0), np.ones(2), lucid.ones(2).data, [1, Tensor(1.0)]])
def test_arrays_are_no_static_values(value):
    fn = lucid.jit(lambda x, fill: x, static_argnames="fill")
    with pytest.raises(TypeError, match=r"fill must be a (plain|hashable) Python value"):
        fn(Tensor(0.0), fill=value)


MODEL = nn.Linear(2, 2)


@lucid.jit
def decorated(x):
    return MODEL(x)


def test_copies_trace_anew():
    x = lucid.ones(1, 2)
    jitted = lucid.jit(nn.Linear(2, 2), donate=False, max_cache_entries=3)
    jitted(x)
    for again in (copy.copy(jitted), copy.deepcopy(jitted), pickle.loads(pickle.dumps(jitted))):
        assert again.cache_info() == (0, 0, 0, 3)
        np.testing.assert_allclose(again(x).numpy(), jitted(x).numpy())
    assert copy.deepcopy(decorated) is decorated
    assert pickle.loads(pickle.dumps(decorated)) is decorated
