"""Tensors and states are pytrees of plain arrays, for all of JAX."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import spaced

X = spaced(4, 3).astype("f")


def make_model():
    lucid.random.seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))


def optimizer_state():
    model = make_model()
    optimizer = lucid.optim.Adam(model.parameters(), lr=0.1)
    model(Tensor(X)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()["state"]


STATES = {"model": lambda: make_model().state_dict(), "optimizer": optimizer_state}


@pytest.mark.parametrize("name", STATES)
def test_a_state_has_plain_arrays_as_leaves(name):
    state = STATES[name]()
    leaves = jax.tree.leaves(state)
    assert len(leaves) == len(jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, Tensor)))
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
    doubled = jax.tree.map(lambda x: 2 * x, state)
    assert jax.tree.structure(doubled) == jax.tree.structure(state)
    tensors = jax.tree.leaves(doubled, is_leaf=lambda x: isinstance(x, Tensor))
    for tensor, leaf in zip(tensors, leaves, strict=True):
        assert isinstance(tensor, Tensor)
        np.testing.assert_array_equal(tensor.numpy(), 2 * np.asarray(leaf))


def test_jit_of_tensors():
    y = jax.jit(lambda x: Tensor(x.data * 3))(Tensor(X))
    assert isinstance(y, Tensor)
    np.testing.assert_allclose(y.numpy(), 3 * X, rtol=1e-6)


def test_grad_by_a_state_dict():
    model = make_model()
    state = {n: p for n, p in model.state_dict().items() if n in dict(model.named_parameters())}

    def loss(state):
        return (lucid.func.functional_call(model, state, Tensor(X)) ** 2).mean().data

    grads = jax.grad(loss)(state)
    (model(Tensor(X)) ** 2).mean().backward()
    for name, param in model.named_parameters():
        assert isinstance(grads[name], Tensor)
        np.testing.assert_allclose(
            grads[name].numpy(), param.grad.numpy(), rtol=1e-5, atol=1e-6, err_msg=name
        )


def test_vmap_over_several_states():
    models = [nn.Linear(3, 2) for _ in range(3)]
    states = jax.tree.map(lambda *x: jnp.stack(x), *(dict(m.state_dict()) for m in models))
    call = jax.vmap(lambda state: lucid.func.functional_call(models[0], state, Tensor(X)).data)
    expected = np.stack([m(Tensor(X)).numpy() for m in models])
    np.testing.assert_allclose(call(states), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_sharded_over_several_devices():
    code = """
        import jax, numpy as np, lucid
        from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
        from lucid import Tensor, nn
        assert len(jax.devices()) == 4
        mesh = Mesh(np.array(jax.devices()), ("d",))
        rows, whole = NamedSharding(mesh, P("d")), NamedSharding(mesh, P())
        model = nn.Linear(3, 8)
        values = np.random.default_rng(0).standard_normal((4, 3)).astype("f")
        expected = model(Tensor(values)).numpy()
        x = jax.device_put(Tensor(values), rows)
        assert isinstance(x, Tensor) and x.data.sharding == rows
        state = jax.device_put(dict(model.state_dict()), {"weight": rows, "bias": whole})
        for name, value in state.items():
            assert value.data.sharding == {"weight": rows, "bias": whole}[name]
            dict(model.named_parameters())[name].data = value.data
        y = model(x)
        assert len(y.data.devices()) == 4
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5)
        y.sum().backward()
        assert len(model.weight.grad.data.devices()) == 4
        optimizer = lucid.optim.Adam(model.parameters(), lr=0.1)
        optimizer.step()
        assert model.weight.data.sharding == rows
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ
        | {
            "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(Path(lucid.__file__).parents[1]),
        },
    )
    assert done.returncode == 0, done.stderr
