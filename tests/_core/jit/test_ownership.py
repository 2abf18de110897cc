"""What is handed out of a compiled step's state keeps its values: one test for each way out."""

from __future__ import annotations

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn.utils import EMA
from tests._core.jit.models import sgd, train

X = np.random.default_rng(0).standard_normal((6, 64)).astype("f")


def alias(model):
    tensor = Tensor(jax.device_put(model.weight.data))
    return lambda: tensor.numpy()


def walked_later(model):
    """An eager graph, whose gradient needs the weights of the moment."""
    x = Tensor(X, requires_grad=True)
    loss = (model(x) ** 2).sum()

    def gradient():
        x.grad = None
        loss.backward(retain_graph=True)
        return x.grad.numpy()

    return gradient


EXITS = {
    "data": lambda m: (lambda a: lambda: np.array(a))(m.weight.data),
    "numpy": lambda m: (lambda a: lambda: a)(m.weight.numpy()),
    "__array__": lambda m: (lambda a: lambda: a)(np.asarray(m.weight)),
    "__jax_array__": lambda m: (lambda a: lambda: np.array(a))(jnp.asarray(m.weight)),
    "dlpack": lambda m: (lambda a: lambda: np.array(a))(np.from_dlpack(m.weight)),
    "detach": lambda m: (lambda t: lambda: t.numpy())(m.weight.detach()),
    "deepcopy": lambda m: (lambda t: lambda: t.weight.numpy())(copy.deepcopy(m)),
    "pickle": lambda m: (lambda t: lambda: t.numpy())(pickle.loads(pickle.dumps(m.weight))),
    "state_dict": lambda m: (lambda d: lambda: d["weight"].numpy())(m.state_dict()),
    "pytree leaves": lambda m: (lambda a: lambda: np.array(a[0]))(jax.tree.leaves(m.weight)),
    "functionalize": lambda m: (
        lambda s: lambda: np.array(s["weight"])
    )(lucid.func.functionalize(m)[1]),
    "ema": lambda m: (lambda e: lambda: e.module.weight.numpy())(EMA(m, 0.9)),
    "to": lambda m: (lambda t: lambda: t.numpy())(m.weight.detach().to("cpu")),
    "device_put": alias,
    "tape": walked_later,
}  # fmt: skip


def steps(model):
    step = lucid.jit(train(model, sgd(model, momentum=0.9)))
    x = Tensor(X)
    return lambda n: [step(x).item() for _ in range(n)]


@pytest.mark.parametrize("name", EXITS)
def test_what_is_handed_out_keeps_its_values(name):
    lucid.random.seed(0)
    model = nn.Linear(64, 64)
    twin = copy.deepcopy(model)
    run, run_twin = steps(model), steps(twin)
    assert run(2) == run_twin(2)
    read = EXITS[name](model)
    before = np.array(read())
    assert run(4) == run_twin(4)  # nothing of the step depends on it
    np.testing.assert_array_equal(read(), before)
    # What was handed out is copied once; from then on memory is reused again.
    at = model.weight._data.unsafe_buffer_pointer()
    run(1)
    assert model.weight._data.unsafe_buffer_pointer() == at


def test_gradients_that_were_handed_out():
    model = nn.Linear(64, 64)
    step = lucid.jit(train(model, sgd(model)))
    step(Tensor(X)), step(Tensor(X))
    gradient = model.weight.grad
    data, values = gradient.data, gradient.numpy()
    step(Tensor(X)), step(Tensor(X))
    np.testing.assert_array_equal(data, values)
    np.testing.assert_array_equal(gradient.numpy(), values)


def test_the_state_of_optax():
    optax = pytest.importorskip("optax")
    model = nn.Linear(64, 64)
    optimizer = lucid.optim.Optax(model.parameters(), optax.adam(1e-3))
    step = lucid.jit(train(model, optimizer))
    step(Tensor(X)), step(Tensor(X))
    state = optimizer.state_dict()
    leaves = [np.array(leaf) for leaf in jax.tree.leaves(state) if hasattr(leaf, "shape")]
    step(Tensor(X)), step(Tensor(X))
    after = [np.array(leaf) for leaf in jax.tree.leaves(state) if hasattr(leaf, "shape")]
    assert leaves
    for a, b in zip(leaves, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_live_result_beside_a_step_that_reuses_memory():
    model = nn.Linear(64, 64)
    run = steps(model)
    run(2)
    forward = lucid.jit(model)
    loss = (forward(Tensor(X)) ** 2).mean()
    reference = copy.deepcopy(model)
    reference.zero_grad()
    (reference(Tensor(X)) ** 2).mean().backward()
    run(2)
    model.zero_grad()
    loss.backward()
    np.testing.assert_allclose(
        model.weight.grad.numpy(), reference.weight.grad.numpy(), rtol=1e-5, atol=1e-7
    )


def test_what_moves_nowhere_is_the_same_tensor():
    x = Tensor([1.0])
    assert x.to("cpu") is x and x.to("float32") is x and x.to(lucid.Float32) is x
    assert x.to("int32") is not x
