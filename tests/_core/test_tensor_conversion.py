"""Tensors to and from Python, NumPy, JAX and DLPack; as pytrees of transformations."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import count_compiles, spaced

# --- Conversion -----------------------------------------------------------------------------------


def test_item_and_tolist():
    assert Tensor([[2.5]]).item() == 2.5
    assert [type(Tensor(v).item()) for v in (2.5, 3, True, 1j)] == [float, int, bool, complex]
    assert Tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert Tensor(7).tolist() == 7
    with pytest.raises(ValueError, match=r"^item: .* one element is needed, .* shape \(2,\)"):
        Tensor([1.0, 2.0]).item()


def test_python_conversions():
    assert (float(Tensor([2.5])), int(Tensor(2.5)), bool(Tensor([[0.0]]))) == (2.5, 2, False)
    assert [10, 20, 30][Tensor(1)] == 20
    assert list(range(Tensor(2))) == [0, 1]
    for wrong in (Tensor(1.0), Tensor([1, 2]), Tensor(True)):
        with pytest.raises(TypeError, match=r"^Only an integer Tensor of one element is an index"):
            [10, 20][wrong]
    with pytest.raises(TypeError):
        float(Tensor(1j))


@pytest.mark.parametrize("shape", [(2,), (0,), (1, 3)])
def test_bool_of_several_elements_is_refused(shape):
    text = f"bool() of a Tensor of shape {shape} is ambiguous. Use any() or all()."
    with pytest.raises(ValueError, match=re.escape(text)):
        bool(lucid.zeros(shape))


def test_len_and_iteration():
    x = Tensor(spaced(3, 2), requires_grad=True)
    rows = list(x)
    assert len(x) == len(rows) == 3
    assert all(isinstance(row, Tensor) and row.shape == (2,) for row in rows)
    (rows[0] * 2 + rows[2]).backward()
    assert x.grad.tolist() == [[2, 2], [0, 0], [1, 1]]
    assert [a.item() for a in Tensor([5, 6])] == [5, 6]
    first, second = Tensor([1.0, 2.0])
    assert (first.item(), second.item()) == (1.0, 2.0)


def test_len_and_iteration_without_axes():
    with pytest.raises(TypeError, match=r"^A Tensor without axes cannot be iterated over"):
        iter(Tensor(1.0))
    with pytest.raises(TypeError, match=r"^len\(\) of a Tensor without axes"):
        len(Tensor(1.0))


def test_conversion_of_dtype():
    x = Tensor([1.75, -1.75, 0.0])
    assert x.int().tolist() == [1, -1, 0]
    assert x.bool().tolist() == [True, True, False]
    dtypes = [x.half(), x.bfloat16(), x.short(), x.char(), x.long(), x.int().float()]
    names = [str(y.dtype) for y in dtypes]
    assert names == ["float16", "bfloat16", "int16", "int8", "int32", "float32"]
    assert x.to("float16").dtype == x.to(np.float16).dtype == np.float16


def test_conversion_of_dtype_is_recorded():
    x = Tensor([1.5, 2.5], requires_grad=True)
    (x.half() * 3).backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [3.0, 3.0]
    assert not x.int().requires_grad


# --- NumPy and JAX --------------------------------------------------------------------------------


def test_numpy_takes_a_tensor():
    data = spaced(2, 3)
    x = Tensor(data)
    array = np.asarray(x)
    assert (type(array), array.dtype) == (np.ndarray, np.float32)
    np.testing.assert_array_equal(array, data.astype(np.float32))
    assert np.asarray(x, dtype=np.float16).dtype == np.float16
    copied = np.array(x, copy=True)
    copied[:] = 0
    np.testing.assert_array_equal(x.numpy(), data.astype(np.float32))
    assert np.sum(np.asarray(x)) == pytest.approx(x.sum().item())


def test_jax_takes_a_tensor():
    x = Tensor(spaced(2, 3))
    array = jnp.asarray(x)
    assert isinstance(array, jax.Array)
    np.testing.assert_array_equal(jnp.sin(x), jnp.sin(x.data))
    np.testing.assert_array_equal(jax.jit(jnp.cos)(x.data), jnp.cos(x))


@pytest.mark.parametrize("kind", [Tensor, nn.Parameter])
def test_dlpack_hands_out_the_memory_itself(kind):
    x = kind(spaced(2, 3))
    for view in (np.from_dlpack(x), np.asarray(x)):
        assert view.ctypes.data == x.data.unsafe_buffer_pointer()
        np.testing.assert_array_equal(view, x.numpy())
    assert jnp.from_dlpack(x).unsafe_buffer_pointer() == x.data.unsafe_buffer_pointer()
    assert x.__dlpack_device__() == x.data.__dlpack_device__()


# --- Pytree ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Tensor, nn.Parameter, nn.Buffer])
def test_pytree_round_trip(kind):
    x = kind(spaced(2, 3))
    leaves, treedef = jax.tree.flatten({"x": x, "y": 1.0})
    assert leaves[0] is x.data
    back = jax.tree.unflatten(treedef, leaves)["x"]
    assert type(back) is kind
    assert back.requires_grad == x.requires_grad
    doubled = jax.tree.map(lambda a: a * 2, x)
    assert type(doubled) is kind
    np.testing.assert_array_equal(doubled.numpy(), x.numpy() * 2)
    assert jax.tree_util.keystr(jax.tree_util.tree_flatten_with_path(x)[0][0][0]) == ".data"


def test_pytree_placeholders_pass():
    treedef = jax.tree.structure(Tensor([1.0]))
    assert jax.tree.unflatten(treedef, [None])._data is None
    assert jax.tree.map(lambda _: "spec", Tensor([1.0]))._data == "spec"


def test_jit_takes_and_returns_tensors():
    @jax.jit
    def affine(x, w):
        return {"y": (x * w + 1.0).sum(axis=0)}

    x, w = Tensor(spaced(3, 2)), Tensor(spaced(2, seed=1))
    y = affine(x, w)["y"]
    assert type(y) is Tensor
    np.testing.assert_allclose(y.numpy(), (x.numpy() * w.numpy() + 1).sum(0), rtol=1e-6)
    again = Tensor(spaced(3, 2, seed=2))
    with count_compiles(expect=0):
        affine(again, w)


def test_jax_grad_of_tensors():
    x, w = Tensor(spaced(3, 2)), Tensor(spaced(2, seed=1))
    dx, dw = jax.grad(lambda x, w: (x * x * w).sum().data, argnums=(0, 1))(x, w)
    assert type(dx) is type(dw) is Tensor
    np.testing.assert_allclose(dx.numpy(), 2 * x.numpy() * w.numpy(), rtol=1e-6)
    np.testing.assert_allclose(dw.numpy(), (x.numpy() ** 2).sum(0), rtol=1e-6)


def test_vmap_of_tensors():
    x = Tensor(spaced(4, 3))
    y = jax.vmap(lambda row: (row * row).sum())(x)
    assert type(y) is Tensor
    np.testing.assert_allclose(y.numpy(), (x.numpy() ** 2).sum(1), rtol=1e-6)


def test_backward_inside_jit():
    @jax.jit
    def gradient(data):
        x = Tensor(data, requires_grad=True)
        (x**3).sum().backward()
        return x.grad

    data = spaced(4).astype(np.float32)
    np.testing.assert_allclose(gradient(data).numpy(), 3 * data**2, rtol=1e-6)
