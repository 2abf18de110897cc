"""From Python and NumPy values to arrays: dtypes, copies and devices."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid._core import arrays
from tests.helpers import spaced


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (3, "int32", ()),
        (2.5, "float32", ()),
        (True, "bool", ()),
        (1 + 2j, "complex64", ()),
        ([1, 2], "int32", (2,)),
        ([[1.0, 2.0], [3.0, 4.0]], "float32", (2, 2)),
        (((1.5,), (2,)), "float32", (2, 1)),
        ([], "float32", (0,)),
        (np.float64(2.5), "float32", ()),
        (np.arange(3), "int32", (3,)),
        (np.zeros((2, 0)), "float32", (2, 0)),
        (np.ones(2, np.float16), "float16", (2,)),
        (np.ones(2, np.uint8), "uint8", (2,)),
        (np.ones(2, jnp.bfloat16), "bfloat16", (2,)),
        (jnp.ones(2, jnp.int8), "int8", (2,)),
        (Tensor([1, 2]), "int32", (2,)),
    ],
)  # fmt: skip
def test_construction(data, dtype, shape):
    x = Tensor(data)
    assert (x.dtype, x.shape, x.ndim) == (dtype, shape, len(shape))
    assert isinstance(x.dtype, np.dtype)
    assert type(x.shape) is tuple
    np.testing.assert_array_equal(x.numpy(), np.asarray(data))


def test_64_bits_stay_where_x64_is_on():
    data = spaced(4)
    assert Tensor(data).dtype == np.float32
    with jax.enable_x64(True):
        x = Tensor(data)
        assert x.dtype == np.float64
        np.testing.assert_array_equal(x.numpy(), data)
        assert (Tensor(2.5).dtype, Tensor(3).dtype) == (np.float64, np.int64)
        assert (Tensor([1.5]) * 2.5).dtype == np.float64
        assert Tensor(data, dtype="float32").dtype == np.float32


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (float, "float32"), (int, "int32"), (bool, "bool"), (complex, "complex64"),
        ("float16", "float16"), ("bfloat16", "bfloat16"), (np.int8, "int8"),
        (lucid.Half, "float16"), (lucid.BFloat16, "bfloat16"), (jnp.float32, "float32"),
    ],
)  # fmt: skip
def test_requested_dtype(dtype, expected):
    assert Tensor([1, 0], dtype=dtype).dtype == expected


def test_float64_by_name_is_refused_where_x64_is_off():
    text = (
        "dtype float64 needs JAX's 64-bit mode, which is off. Call "
        'jax.config.update("jax_enable_x64", True) first, or ask for float32.'
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        Tensor([1.0], dtype="float64")
    with pytest.raises(ValueError, match=re.escape(text)):
        Tensor([1.0]).double()


@pytest.mark.parametrize("data", ["text", ["a", "b"], [object()], {"a": 1}, None])
def test_what_is_no_number_is_refused(data):
    text = r"Tensor: data must be numbers, nested lists of numbers, or an array, got \w+ of dtype"
    with pytest.raises(TypeError, match=text):
        Tensor(data)


def test_a_list_of_tensors_is_data():
    x = Tensor([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])])
    assert (x.shape, x.dtype) == ((2, 2), np.float32)
    assert Tensor([Tensor(1), Tensor(2)]).tolist() == [1, 2]


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError, match="inhomogeneous"):
        Tensor([[1.0, 2.0], [3.0]])


def test_integers_that_do_not_fit_are_refused():
    with pytest.raises(OverflowError, match=r"the integers 0 to 4294967296 do not fit into int32"):
        Tensor([0, 2**32])
    assert Tensor([0, 2**32], dtype=float).tolist() == [0.0, 2.0**32]


def test_numpy_memory_is_not_shared():
    source = np.arange(4, dtype=np.float32)
    x = Tensor(source)
    source[:] = -1
    assert x.tolist() == [0, 1, 2, 3]
    back = x.numpy()
    back[:] = 7
    assert x.tolist() == [0, 1, 2, 3]


def test_a_tensor_is_a_copy_of_numpys_array_in_either_byte_order():
    for order in "<>":
        source = spaced(2, 3).astype(f"{order}f4")
        x = Tensor(source)
        before = source.copy()
        source[:] = 0
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x.numpy(), before)


# --- Devices --------------------------------------------------------------------------------------


def test_device():
    cpu = jax.devices("cpu")[0]
    assert Tensor([1.0]).device == "cpu"
    assert Tensor([1.0], device="cpu").data.devices() == {cpu}
    assert Tensor([1.0], device=cpu).data.devices() == {cpu}
    x = Tensor([1.0], requires_grad=True)
    (x.to("cpu").cpu() * 3).backward()
    assert x.grad.tolist() == [3.0]


@pytest.mark.parametrize("device", ["gpu", "tpu", "cuda", "cpu:7", "cpu:x", "nonsense"])
def test_a_device_that_is_not_present_is_refused(device):
    cuda = ' (lucid calls CUDA "gpu")' if device == "cuda" else ""
    text = f'device "{device}" is not present. Present: cpu{cuda}; or pass a jax.Device.'
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Tensor([1.0], device=device)


def test_to_keeps_the_tensor_after_an_error():
    x = Tensor([1.0])
    with pytest.raises(ValueError, match='device "tpu" is not present'):
        x.to("tpu")
    assert x.tolist() == [1.0]


def test_what_jax_traces_now_is_known_even_if_it_is_asked_first_inside_a_trace():
    seen = []
    arrays._trace_states.cache_clear()
    jax.jit(lambda: seen.append(arrays.staged()))()
    seen.append(arrays.staged())
    jax.vmap(lambda x: seen.append(arrays.staged()), out_axes=None)(np.ones(2))
    assert seen == [True, False, False]
