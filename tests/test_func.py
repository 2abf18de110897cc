"""Modules as pure functions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import close

X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)


def model_of(seed=0):
    lucid.random.seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def test_functional_call_equals_a_module_with_that_state():
    model, other = model_of(0), model_of(1)
    before = model.state_dict()
    out = lucid.func.functional_call(model, lucid.func.state_of(other), jnp.asarray(X))
    assert isinstance(out, jax.Array)
    close(out, other(Tensor(X)).numpy())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())


def test_functional_call_with_a_part_of_the_state():
    model = nn.Linear(3, 1)
    out = lucid.func.functional_call(model, {"bias": np.array([5.0], np.float32)}, X)
    close(out, (model(Tensor(X)) - model.bias + 5.0).numpy())


def test_gradients_flow_into_tensors_of_the_state():
    model = nn.Linear(3, 1)
    weight = Tensor(np.ones((1, 3), np.float32), requires_grad=True)
    out = lucid.func.functional_call(model, {"weight": weight * 2}, Tensor(X))
    out.sum().backward()
    close(weight.grad.numpy(), 2 * X.sum(0)[None])
    assert model.weight.grad is None and model.bias.grad is not None


def test_functional_call_inside_jit():
    model = nn.Linear(3, 1)
    weight = Tensor(np.ones((1, 3), np.float32))
    fn = lucid.jit(lambda x: lucid.func.functional_call(model, {"weight": weight}, x))
    close(fn(Tensor(X)).numpy(), X.sum(1, keepdims=True) + model.bias.numpy())
    weight.data = np.zeros((1, 3), np.float32)
    model.bias.data = np.ones(1, np.float32)
    close(fn(Tensor(X)).numpy(), np.ones((6, 1)))


def test_functional_call_lists_all_problems():
    with pytest.raises(ValueError, match=r"(?s)not fit this Linear.*wieght: unknown.*bias: shape"):
        lucid.func.functional_call(
            nn.Linear(3, 1), {"wieght": jnp.ones((1, 3)), "bias": jnp.ones(2)}, X
        )


def test_functionalize_under_grad_vmap_and_jit():
    model = model_of()
    pure, state = lucid.func.functionalize(model)
    out, new = jax.jit(pure)(state, jnp.asarray(X))
    expected = model(Tensor(X))
    close(out, expected.numpy())
    for name, value in lucid.func.state_of(model).items():
        close(new[name], value)
    assert set(new) == set(state) and int(new["1.num_batches_tracked"]) == 1
    assert int(state["1.num_batches_tracked"]) == 0

    weights = {name: value for name, value in state.items() if value.dtype == jnp.float32}
    rest = {name: value for name, value in state.items() if name not in weights}
    grads = jax.grad(lambda w: (pure({**rest, **w}, X)[0] ** 2).mean())(weights)
    (expected**2).mean().backward()
    for name, parameter in model.named_parameters():
        close(grads[name], parameter.grad.numpy())

    model.eval()
    rows = jax.vmap(lambda x: pure(new, x[None])[0][0])(jnp.asarray(X))
    close(rows, model(Tensor(X)).numpy())


def test_ensembles():
    layers = [nn.Linear(3, 1) for _ in range(4)]
    pure, _ = lucid.func.functionalize(layers[0])
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(lucid.func.state_of, layers))
    outputs, _ = jax.vmap(pure, in_axes=(0, None))(stacked, jnp.asarray(X))
    close(outputs, [layer(Tensor(X)).numpy() for layer in layers])
