"""Tensors made by functions: constants, ranges, and the memory of other libraries."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import count_compiles, spaced

FILLED = {"zeros": 0, "ones": 1, "empty": 0}


@pytest.mark.parametrize("name", FILLED)
def test_constants(name):
    make = getattr(lucid, name)
    for x in (make(2, 3), make((2, 3)), make([2, 3])):
        assert type(x) is Tensor
        assert (x.shape, x.dtype) == ((2, 3), np.float32)
        assert (x == FILLED[name]).all()
    assert make(()).shape == make().shape == ()
    assert make(0, 2).shape == (0, 2)
    x = make(2, dtype="float16", requires_grad=True, device="cpu")
    assert (x.dtype, x.requires_grad, x.device) == (np.float16, True, "cpu")
    assert make(2, dtype=int).dtype == np.int32
    assert make(2, keep_grad=True).keep_grad
    like = getattr(lucid, f"{name}_like")(Tensor([[1, 2]]))
    assert (like.shape, like.dtype, like.sum().item()) == ((1, 2), np.int32, 2 * FILLED[name])
    assert getattr(lucid, f"{name}_like")(np.zeros(3), dtype=bool).dtype == bool


AT_THE_END = {
    "full": lambda *o: lucid.full((2, 2), 1.0, *o),
    "full_like": lambda *o: lucid.full_like(np.zeros((2, 2)), 1, *o),
    "zeros_like": lambda *o: lucid.zeros_like(np.zeros((2, 2)), *o),
    "ones_like": lambda *o: lucid.ones_like(np.zeros((2, 2)), *o),
    "empty_like": lambda *o: lucid.empty_like(np.zeros((2, 2)), *o),
    "eye": lambda *o: lucid.eye(2, None, 0, *o),
    "linspace": lambda *o: lucid.linspace(0, 1, 2, *o),
}


@pytest.mark.parametrize("name", AT_THE_END)
def test_dtype_and_what_follows_it_by_place(name):
    made = AT_THE_END[name]("float16", False, True, "cpu")
    assert (made.shape[0], made.dtype, made.device) == (2, np.float16, "cpu")
    assert (made.requires_grad, made.keep_grad) == (False, True)
    other = AT_THE_END[name](None, True)
    assert (other.requires_grad, other.keep_grad) == (True, False)


def test_tensors_own_constructors():
    assert Tensor.zeros(2, 3).shape == Tensor.ones((2, 3)).shape == (2, 3)
    assert lucid.tensor([1.0, 2.0], requires_grad=True).requires_grad
    assert lucid.tensor([1, 2], dtype=float).dtype == np.float32


def test_full():
    assert [lucid.full((2,), v).dtype.name for v in (1.5, 2, True)] == ["float32", "int32", "bool"]
    assert lucid.full(3, 2.5).tolist() == [2.5] * 3
    like = lucid.full_like(nn.Parameter([1.0, 2.0]), 7)
    assert (type(like), like.tolist(), like.requires_grad) == (Tensor, [7.0, 7.0], False)
    assert lucid.full_like([1, 2], 3).dtype == np.int32


@pytest.mark.parametrize("call", [
    lambda: lucid.zeros(2, -1), lambda: lucid.ones((-3,)), lambda: lucid.full((-1,), 2.0),
    lambda: lucid.empty(-1),
])  # fmt: skip
def test_negative_sizes_are_refused(call):
    with pytest.raises(ValueError, match=r"^full: a shape cannot have a negative size, got \("):
        call()


def test_sizes_must_be_integers():
    with pytest.raises(TypeError):
        lucid.zeros(2.5)
    with pytest.raises(TypeError):
        lucid.zeros("ab")


@pytest.mark.parametrize("bounds", [(5,), (2, 5), (5, 2), (1, 9, 3), (5, 0, -2), (0.0, 1.0, 0.25)])
def test_arange(bounds):
    x = lucid.arange(*bounds)
    np.testing.assert_allclose(x.numpy(), np.arange(*bounds), rtol=1e-6)
    assert x.dtype == (np.float32 if isinstance(bounds[0], float) else np.int32)
    assert lucid.arange(*bounds, dtype="float16", requires_grad=True).requires_grad


@pytest.mark.parametrize("bounds", [(), (1, 2, 3, 4)])
def test_arange_takes_one_to_three_bounds(bounds):
    with pytest.raises(TypeError, match=f"^arange takes one to three bounds, got {len(bounds)}"):
        lucid.arange(*bounds)


def test_linspace_and_eye():
    np.testing.assert_allclose(lucid.linspace(-1, 2, 7).numpy(), np.linspace(-1, 2, 7), atol=1e-6)
    assert lucid.linspace(0, 1).shape == (50,)
    for arguments in ((3,), (2, 3), (3, 2, 1), (3, 3, -1)):
        np.testing.assert_array_equal(lucid.eye(*arguments).numpy(), np.eye(*arguments))
    assert lucid.eye(2, dtype=int).dtype == np.int32


def test_defaults_under_x64():
    with jax.enable_x64(True):
        assert lucid.zeros(2).dtype == lucid.rand(2).dtype == np.float64
        assert lucid.arange(3).dtype == lucid.full((1,), 3).dtype == np.int64
        assert lucid.linspace(0, 1, 3).dtype == np.float64


def test_errors_of_device_and_dtype():
    with pytest.raises(ValueError, match=r'^device "tpu" is not present'):
        lucid.zeros(2, device="tpu")
    with pytest.raises(ValueError, match=r"^dtype float64 needs JAX's 64-bit mode"):
        lucid.arange(2, dtype="float64")
    with pytest.raises(TypeError, match=r"^Tensor: only floating-point"):
        lucid.arange(2, requires_grad=True)
    with pytest.raises(TypeError):
        lucid.zeros(2, nonsense=True)


def aligned(values):
    """A copy at a multiple of 64 bytes, which is where JAX takes NumPy's memory over."""
    memory = np.empty(values.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    array = memory[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    array[:] = values
    return array


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32, np.uint8])
def test_from_dlpack_takes_the_memory_itself(dtype):
    source = aligned((spaced(2, 3) * 10).astype(dtype))
    before = source.copy()
    x = lucid.from_dlpack(source)
    assert (type(x), x.dtype, x.requires_grad) == (Tensor, dtype, False)
    assert x.data.unsafe_buffer_pointer() == source.ctypes.data
    np.testing.assert_array_equal(x.numpy(), before)


def test_from_dlpack_copies_what_jax_cannot_take():
    gaps = spaced(4, 6).astype(np.float32)[:, ::2]
    wide = spaced(2, 3)
    integers = np.array([3, -(2**31)])
    shifted = aligned(spaced(7).astype(np.float32))[1:]
    for source in (gaps, wide, integers, shifted):
        x = lucid.from_dlpack(source)
        assert x.data.unsafe_buffer_pointer() != source.ctypes.data
        np.testing.assert_array_equal(x.numpy(), source.astype(x.dtype))
    assert lucid.from_dlpack(wide).dtype == np.float32
    with pytest.raises(OverflowError, match="the integers 4294967296 to 4294967296 do not fit"):
        lucid.from_dlpack(np.array([2**32]))
    with pytest.raises(TypeError, match=r"^from_dlpack: .* __dlpack__ is needed, got list\. Use"):
        lucid.from_dlpack([1.0])
    with jax.enable_x64(True):
        assert lucid.from_dlpack(wide).dtype == np.float64


def test_full_of_a_tensor_is_recorded():
    value = Tensor(2.0, requires_grad=True)
    y = lucid.full((2, 3), value)
    assert y.dtype == np.float32
    (y * Tensor(np.arange(6.0).reshape(2, 3))).sum().backward()
    assert value.grad.item() == 15
    row = Tensor([1.0, 2.0], requires_grad=True)
    like = lucid.full_like(Tensor([[0, 0], [0, 0]]), row, dtype=float)
    assert like.tolist() == [[1, 2], [1, 2]]
    like.backward()
    assert row.grad.tolist() == [2, 2]
    leaf = lucid.full(2, Tensor(3), dtype="float16", requires_grad=True)
    assert leaf.is_leaf
    assert leaf.requires_grad
    assert leaf.dtype == np.float16


def test_full_of_an_array():
    for value in (np.array([1, 2]), jnp.array([1, 2])):
        y = lucid.full((3, 2), value)
        assert y.tolist() == [[1, 2]] * 3
        assert y.dtype == np.int32


def test_full_of_a_new_value_compiles_nothing():
    lucid.full((2, 3), 0.5)
    lucid.full((2, 3), Tensor(0.5))
    values = [Tensor(v / 7) for v in range(30)]
    with count_compiles(expect=0):
        for v in range(30):
            lucid.full((2, 3), v / 7)
            lucid.full((2, 3), values[v])


def test_diag_makes_a_tensor_of_anything():
    for v in ([1.0, 2.0], np.array([1.0, 2.0], "f"), Tensor([1.0, 2.0])):
        made = lucid.diag(v, 1, "float16", True, True, "cpu")
        assert made.tolist() == [[0, 1, 0], [0, 0, 2], [0, 0, 0]]
        assert (made.dtype, made.requires_grad, made.keep_grad) == (np.float16, True, True)
    assert lucid.diag([[1, 2], [3, 4]]).tolist() == [1, 4]
    assert lucid.diag([1, 2]).dtype == np.int32


def test_diag_of_a_tensor_is_recorded():
    x = Tensor([1.0, 2.0], requires_grad=True)
    (lucid.diag(x) * Tensor([[3.0, 1.0], [1.0, 4.0]])).sum().backward()
    assert x.grad.tolist() == [3, 4]
