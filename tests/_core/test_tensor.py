"""Tensor: construction, devices, printing, copying and assignment of data."""

from __future__ import annotations

import copy
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import spaced

# --- Construction ---------------------------------------------------------------------------------


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


def test_requires_grad_of_integers_is_refused():
    text = "only floating-point and complex Tensors have gradients, this one has dtype int32"
    with pytest.raises(TypeError, match=f"^Tensor: {text}"):
        Tensor([1], requires_grad=True)
    with pytest.raises(TypeError, match=f"^requires_grad_: {text}"):
        Tensor([1]).requires_grad_()


def test_tensor_of_a_recorded_tensor_is_a_leaf():
    x = Tensor([2.0], requires_grad=True)
    y = Tensor(x * 3)
    assert y.is_leaf
    assert not y.requires_grad
    assert y.item() == 6.0


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
    text = f'device "{device}" is not present. Present: cpu; or pass a jax.Device.'
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Tensor([1.0], device=device)


def test_to_keeps_the_tensor_after_an_error():
    x = Tensor([1.0])
    with pytest.raises(ValueError, match='device "tpu" is not present'):
        x.to("tpu")
    assert x.tolist() == [1.0]


# --- Printing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Tensor([1.0, 2.5]), "Tensor([1. , 2.5])"),
        (lambda: Tensor(2.0), "Tensor(2.)"),
        (lambda: Tensor([1, 2]), "Tensor([1, 2], dtype=int32)"),
        (lambda: Tensor([0.5], dtype="bfloat16"), "Tensor([0.5], dtype=bfloat16)"),
        (lambda: Tensor([[1.0], [2.0]]), "Tensor([[1.],\n        [2.]])"),
        (lambda: Tensor([1.0], requires_grad=True), "Tensor([1.], requires_grad=True)"),
        (lambda: Tensor([2.0], requires_grad=True) * 3, "Tensor([6.], grad_fn=<multiply>)"),
        (lambda: nn.Parameter([1.0]), "Parameter([1.])"),
        (lambda: nn.Parameter([1.0], dtype="float16"), "Parameter([1.], dtype=float16)"),
        (lambda: nn.Buffer([[1.0], [2.0]]), "Buffer([[1.],\n        [2.]])"),
        (lambda: lucid.zeros(0, 3), "Tensor([], shape=(0, 3))"),
    ],
)  # fmt: skip
def test_repr(make, text):
    assert repr(make()) == text


def test_repr_of_a_large_tensor_is_short():
    text = repr(lucid.zeros(1000, 1000))
    assert "..." in text
    assert len(text) < 500


def test_repr_in_a_trace():
    texts = []
    jax.jit(lambda x: texts.append(repr(x)) or x)(Tensor([1.0, 2.0]))
    assert texts == ["Tensor(<traced float32[2]>)"]


def test_repr_of_another_device():
    code = (
        "import jax; from lucid import Tensor\n"
        "x = Tensor([1.0], device='cpu:1')\n"
        "print(repr(x)); print(x.device); print(repr(Tensor([1.0])))\n"
        "print(repr(x.to('cpu')), x.to(jax.devices()[1]).device)\n"
        "x.requires_grad_(); y = (x * 3).to('cpu')\n"
        "(y * y).backward(); print(y, x.grad)\n"
        "import lucid; z = (x * 3).to('cpu')\n"
        "g = lucid.autograd.grad(z**3, x, create_graph=True)\n"
        "print(g.device, lucid.autograd.grad(g, x))\n"
    )
    lines = run_python(code, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert lines == [
        'Tensor([1.], device="cpu:1")',
        "cpu:1",
        "Tensor([1.])",
        "Tensor([1.]) cpu:1",
        'Tensor([3.], grad_fn=<to>) Tensor([18.], device="cpu:1")',
        'cpu:1 Tensor([162.], device="cpu:1")',
    ]


def run_python(code, **environment):
    import os
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# --- Copies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Tensor, nn.Parameter, nn.Buffer])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_independent(kind, copied):
    x = kind(spaced(2, 3))
    y = copied(x)
    assert type(y) is kind
    assert (y.requires_grad, y.dtype, y.is_leaf) == (x.requires_grad, x.dtype, True)
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    y.data = np.zeros(3)
    np.testing.assert_array_equal(x.numpy(), spaced(2, 3).astype(np.float32))


def test_deepcopy_keeps_the_gradient_and_sharing():
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * 3).backward()
    x.register_hook(lambda g: g * 100)
    first, second = copy.deepcopy([x, x])
    assert first is second
    assert first.grad.tolist() == [3, 3]
    (first * 2).backward()
    assert first.grad.tolist() == [5, 5]  # the hook is not copied
    assert x.grad.tolist() == [3, 3]


def test_deepcopy_of_a_computed_tensor_is_a_leaf_of_its_own():
    x = Tensor([2.0], requires_grad=True)
    y = copy.deepcopy(x * 3)
    assert y.is_leaf
    assert y.requires_grad
    (y * y).backward()
    assert y.grad.tolist() == [12.0]
    assert x.grad is None


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8", "bool", "complex64"])
def test_pickling_keeps_the_dtype(dtype):
    x = Tensor([1, 0, 2], dtype=dtype)
    y = pickle.loads(pickle.dumps(x))
    assert y.dtype == dtype
    assert y.tolist() == x.tolist()


def test_a_tensor_is_a_key_by_identity():
    x, y = Tensor([1.0]), Tensor([1.0])
    table = {x: "x", y: "y"}
    assert (table[x], table[y]) == ("x", "y")


# --- Data assignment ------------------------------------------------------------------------------


def test_assigning_data():
    x = Tensor([1.0, 2.0], requires_grad=True)
    x.data = Tensor([3.0, 4.0])
    assert x.tolist() == [3.0, 4.0]
    assert x.is_leaf
    x.data = [5, 6.5]
    assert (x.tolist(), x.requires_grad) == ([5, 6.5], True)
    y = x * x
    x.data = [0.0, 0.0]
    y.backward()
    assert x.grad.tolist() == [10.0, 13.0]  # of the values that were multiplied


def test_an_unknown_attribute():
    with pytest.raises(AttributeError):
        Tensor([1.0]).unknown = 3
    with pytest.raises(AttributeError, match="shpe"):
        _ = Tensor([1.0]).shpe
