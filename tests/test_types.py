"""The objects that stand for dtypes, Tensors of one dtype, and errors with classes of their own."""

from __future__ import annotations

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, error, nn
from lucid.types import Numeric
from tests.helpers import run_python

SIZED = {
    "Int8": int, "Int16": int, "Int32": int, "Int64": int, "Float16": float, "Float32": float,
    "Float64": float, "Complex64": complex,
}  # fmt: skip
OPEN = {"Int": "int32", "Float": "float32", "Complex": "complex64"}


@pytest.mark.parametrize("name", [*SIZED, *OPEN])
def test_a_dtype_is_equal_to_numpys(name):
    ours, spelled = getattr(lucid, name), OPEN.get(name, name.lower())
    numpys = np.dtype(spelled)
    for other in (numpys, numpys.type, spelled, Numeric(ours.base_dtype, ours.bits)):
        assert ours == other and other == ours
        assert (ours != other, other != ours) == (False, False)
    assert hash(ours) == hash(numpys)
    assert {numpys: 1}[ours] == {ours: 1}[numpys] == 1
    assert (str(ours), ours.itemsize, np.dtype(ours)) == (spelled, numpys.itemsize, numpys)
    for other in (None, "foo", 3, np.uint8, lucid.Bool, lucid.BFloat16):
        assert ours != other and other != ours


@pytest.mark.parametrize("name", SIZED)
def test_numeric(name):
    ours, numpys = getattr(lucid, name), np.dtype(name.lower()).type
    assert (ours.base_dtype, ours.bits) == (SIZED[name], np.dtype(numpys).itemsize * 8)
    assert ours.cpu is ours.gpu is ours.parse("cpu") is ours.parse("gpu") is numpys
    assert not ours.is_bit_free
    assert repr(ours) == f"lucid.{name}"
    assert pickle.loads(pickle.dumps(ours)) == copy.deepcopy(ours) == ours


@pytest.mark.parametrize("name", OPEN)
def test_numeric_with_open_bits(name):
    ours = getattr(lucid, name)
    assert ours.is_bit_free and ours.bits is None
    assert ours.cpu is ours.gpu is ours.parse("cpu") is None
    assert repr(ours) == f"lucid.{name}"


def test_bits_of_the_data():
    assert lucid.Float.auto_parse(np.int16, "cpu") is np.float16
    assert lucid.Int.auto_parse(lucid.Float64, "gpu") is np.int64
    assert lucid.Int.auto_parse("bool", "cpu") is np.int8
    assert lucid.Float.auto_parse(np.dtype("int8"), "cpu") is None
    with pytest.raises(TypeError, match="float7"):
        Numeric(float, 7)


def test_aliases():
    assert (lucid.Char, lucid.Short, lucid.Long) == (lucid.Int8, lucid.Int16, lucid.Int64)
    assert (lucid.Half, lucid.Double) == (lucid.Float16, lucid.Float64)


def test_they_go_wherever_a_dtype_goes():
    x = Tensor([1.5, 2.5], dtype=lucid.Float16)
    assert x.dtype == lucid.Float16 == np.float16
    assert x.astype(lucid.Int).dtype == x.to(lucid.Int32).dtype == lucid.Int == np.int32
    assert lucid.zeros(2, dtype=lucid.Int8).dtype == lucid.full((2,), 1, lucid.Int8).dtype
    assert lucid.random.randint(9, size=2, dtype=lucid.Int16).dtype == lucid.Int16
    assert nn.Linear(1, 1).to(lucid.Half).weight.dtype == lucid.Half
    assert nn.functional.one_hot(Tensor([0, 1]), 2, dtype=lucid.Float32).dtype == lucid.Float32
    assert np.zeros(2, lucid.Float32).dtype == jnp.zeros(2, lucid.Float32).dtype == np.float32
    assert jax.jit(lambda a: a.astype(lucid.Int8))(np.ones(2)).dtype == lucid.Int8
    assert lucid.jit(lambda a: a.astype(lucid.Int8))(Tensor([1.0])).dtype == lucid.Int8
    with pytest.raises(ValueError, match="64-bit mode, which is off"):
        Tensor([1.0], dtype=lucid.Float64)


# --- Tensors of one dtype ---------------------------------------------------------------------

TYPED = {
    "BoolTensor": bool, "CharTensor": "int8", "ShortTensor": "int16", "IntTensor": "int32",
    "LongTensor": "int32", "HalfTensor": "float16", "FloatTensor": "float32",
}  # fmt: skip


@pytest.mark.parametrize("name", TYPED)
def test_typed_tensors(name):
    make = getattr(lucid, name)
    x = make([0, 1, 2])
    assert (type(x), x.dtype) == (make, TYPED[name])
    assert isinstance(x, Tensor)
    assert x.tolist() == np.array([0, 1, 2], TYPED[name]).tolist()
    assert make(x.astype("float32")).dtype == TYPED[name]
    assert make([1], False, True, "cpu").keep_grad
    assert type(x[0]) is Tensor
    for again in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), jax.tree.map(lambda a: a, x)):
        assert (type(again), again.dtype, again.tolist()) == (make, x.dtype, x.tolist())
    assert lucid.jit(lambda y: y == y)(x).all()


def test_typed_tensors_and_gradients():
    x = lucid.FloatTensor([1, 2], requires_grad=True)
    (x * x).backward()
    assert x.grad.tolist() == [2.0, 4.0]
    with pytest.raises(TypeError, match="only floating-point and complex Tensors"):
        lucid.IntTensor([1], requires_grad=True)


def test_64_bit_tensors():
    with jax.enable_x64(True):
        assert lucid.DoubleTensor([1]).dtype == np.float64
        assert lucid.LongTensor([2**40]).dtype == np.int64
    with pytest.raises(ValueError, match="64-bit mode, which is off"):
        lucid.DoubleTensor([1])


# --- Errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("built, kind", [
    (error.UnknownDeviceError("abacus"), ValueError),
    (error.DeviceMismatchError("gpu", "cpu"), ValueError),
    (error.BackwardError((2, 3), "matmul"), RuntimeError),
])  # fmt: skip
def test_errors_are_of_pythons_kind_and_keep_their_text(built, kind):
    assert isinstance(built, kind)
    again = pickle.loads(pickle.dumps(built))
    assert (type(again), str(again)) == (type(built), str(built))


@pytest.mark.parametrize("call", [
    lambda: Tensor([1.0], device="gpu:7"), lambda: Tensor([1.0]).to("tpu"),
    lambda: nn.Linear(1, 1).to("tpu"), lambda: lucid.zeros(1, device="abacus"),
])  # fmt: skip
def test_unknown_devices(call):
    with pytest.raises(lucid.UnknownDeviceError, match=r'^device ".*" is not present\. Present: '):
        call()


def test_operands_on_two_devices():
    code = """
import lucid
a = lucid.Tensor([1.0, 2.0], device="cpu:0", requires_grad=True)
b = lucid.Tensor([1.0, 2.0], device="cpu:1")
for call in (lambda: b + a, lambda: a[lucid.Tensor([0, 1], device="cpu:1")]):
    try:
        call()
    except lucid.DeviceMismatchError as error:
        print(error)
print((a + lucid.Tensor([1.0, 2.0])).tolist(), a.grad)
"""
    lines = run_python(code, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    text = (
        'one operand lies on cpu, another on cpu:1. Move one of them, for example with x.to("cpu").'
    )
    assert lines == [
        f"add: float32[2], float32[2]: {text}",
        f"take: float32[2], int32[1], int32[2]: {text}",
        "[2.0, 4.0] None",
    ]


def test_an_operation_without_a_gradient():
    def doubled(x):
        return jax.lax.while_loop(lambda y: y.sum() < 10, lambda y: y * 2, x)

    x = Tensor([1.0, 2.0], requires_grad=True)
    y = lucid.apply(doubled, x)
    text = r"^backward: no gradient through doubled, for a Tensor of shape \(2,\); the error above"
    with pytest.raises(lucid.BackwardError, match=text) as caught:
        (y * 3).backward()
    assert "Reverse-mode differentiation" in str(caught.value.__cause__)
    assert x.grad is None
