"""The einops package on Tensors."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import Tensor, _einops
from tests.helpers import spaced

einops = pytest.importorskip("einops")

X = spaced(4, 6, 2).astype("f")
W = spaced(2, 3, seed=1).astype("f")

CALLS = {
    "rearrange": lambda x: einops.rearrange(x, "a (b c) d -> c (a d) b", b=2),
    "ellipsis": lambda x: einops.rearrange(x, "a ... -> ... a"),
    "list": lambda x: einops.rearrange([x, x * 2], "n a b c -> a (n b) c"),
    **{
        name: lambda x, name=name: einops.reduce(x, "a (b 3) c -> b c", name)
        for name in ("sum", "mean", "max", "min", "prod")
    },
    "any": lambda x: einops.reduce(x > 1, "a b c -> b", "any"),
    "all": lambda x: einops.reduce(x > -1, "a b c -> b", "all"),
    "repeat": lambda x: einops.repeat(x, "a b c -> a (b k) c n", k=2, n=3),
    "einsum": lambda x: einops.einsum(x, x, "a b c, d b c -> a d"),
    "pack": lambda x: einops.pack([x, x[:, 0]], "a * c")[0],
    "unpack": lambda x: einops.unpack(x, [(2,), (4,)], "a * c")[1],
}


@pytest.mark.parametrize("name", CALLS)
def test_tensors_give_what_arrays_give(name):
    result = CALLS[name](Tensor(X))
    expected = CALLS[name](X)
    assert isinstance(result, Tensor)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"any", "all"}))
def test_gradients_are_those_of_a_compiled_step(name):
    x = Tensor(X, requires_grad=True)

    def gradient(x):
        return lucid.autograd.grad((CALLS[name](x) ** 2).sum(), x)

    assert gradient(x).numpy().any()
    np.testing.assert_allclose(lucid.jit(gradient)(x).numpy(), gradient(x).numpy(), rtol=1e-5)


def test_a_gradient():
    x, w = Tensor(X, requires_grad=True), Tensor(W)
    (einops.einsum(einops.reduce(x, "a b c -> a c", "sum"), w, "a c, c o -> a o")).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.broadcast_to(W.sum(1), X.shape), rtol=1e-5)


def test_to_numpy():
    np.testing.assert_array_equal(einops.asnumpy(Tensor(X, requires_grad=True)), X)


def test_an_einops_that_is_made_otherwise_is_left_alone():
    other = types.ModuleType("einops._backends")
    _einops._introduce(other)
    assert not hasattr(other, "LucidBackend")


@pytest.mark.slow
@pytest.mark.parametrize("order", ["einops, lucid", "lucid, einops", "lucid.einops, einops"])
def test_the_order_of_imports_does_not_matter(order):
    code = (
        f"import {order}, lucid, sys\n"
        "print(einops.rearrange(lucid.zeros(2, 3), 'a b -> b a').shape)\n"
        "print([f for f in sys.meta_path if type(f).__module__.startswith('lucid')])\n"
    )
    root = str(Path(lucid.__file__).parent.parent)
    path = os.pathsep.join([root, str(Path(einops.__file__).parent.parent)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(3, 2)", "[]"]
