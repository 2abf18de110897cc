"""Modules as pure functions, and tools that look into compiled functions."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import count_compiles

X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)


def close(a, b, atol=1e-6):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)


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


# --- Tools ---


def test_cost():
    a = lucid.ones(16, 32)
    cost = lucid.utils.cost(lambda x: x @ x.T, a)
    assert 2 * 16 * 16 * 32 <= cost.flops < 3 * 16 * 16 * 32
    assert cost.bytes_accessed >= 4 * (16 * 32 + 16 * 16) and cost.temporary_bytes >= 0
    model = nn.Linear(32, 8)
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)

    @lucid.jit
    def step(x):
        (model(x) ** 2).mean().backward()
        optimizer.step()

    before = model.weight.numpy()
    forward, whole = lucid.utils.cost(model, a), lucid.utils.cost(step, a)
    assert whole.flops > 1.5 * forward.flops > 0
    assert (model.weight.numpy() == before).all() and model.weight.grad is None


def test_lower_shows_the_program_and_runs_nothing():
    total = Tensor([1.0])

    @lucid.jit
    def add(x):
        total.data = (total + x).data

    text = add.lower(Tensor([2.0])).as_text()
    assert "stablehlo.add" in text and total.tolist() == [1.0]
    add(Tensor([2.0]))
    with count_compiles(0):
        add(Tensor([2.0]))
    assert total.tolist() == [5.0]


def test_names_of_modules_are_in_the_metadata():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            return self.layer(x)

    text = lucid.jit(Encoder()).lower(Tensor(X)).compile().as_text()
    names = re.findall(r'op_name="([^"]*)"', text)
    assert any("Encoder/Linear/" in name and "linear" in name for name in names), names
    # Squared, so that the step needs the forward pass, whose operations carry the names.
    step = lucid.jit(lambda model, x: (model(x) ** 2).sum().backward())
    backward = step.lower(Encoder(), Tensor(X))
    assert "Encoder" in backward.compile().as_text()
