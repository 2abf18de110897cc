"""Operators and methods of Tensor: the functions, in place and beside arrays."""

from __future__ import annotations

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid._core.methods import Methods
from tests.helpers import spaced

BINARY = {
    "+=": lambda a, b: a.__iadd__(b),
    "-=": lambda a, b: a.__isub__(b),
    "*=": lambda a, b: a.__imul__(b),
    "/=": lambda a, b: a.__itruediv__(b),
    "//=": lambda a, b: a.__ifloordiv__(b),
    "%=": lambda a, b: a.__imod__(b),
    "**=": lambda a, b: a.__ipow__(b),
    "@=": lambda a, b: a.__imatmul__(b),
}


@pytest.mark.parametrize("symbol", BINARY)
def test_augmented_operators(symbol):
    a, b = spaced(3, 3, low=0.5).astype("f"), spaced(3, 3, low=0.5, seed=1).astype("f")
    x = Tensor(a)
    alias = x
    assert BINARY[symbol](x, Tensor(b)) is alias
    expected = eval(f"a {symbol[:-1]} b", {"a": a, "b": b})
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("symbol", ["&=", "|=", "^="])
def test_augmented_bitwise_operators(symbol):
    a, b = np.array([6, 5, 12]), np.array([3, 5, 10])
    x = Tensor(a)
    alias = x
    scope = {"x": x, "b": Tensor(b)}
    exec(f"x {symbol} b", scope)
    assert scope["x"] is alias
    np.testing.assert_array_equal(x.numpy(), eval(f"a {symbol[:-1]} b", {"a": a, "b": b}))


# Method: the function whose result it takes, and arguments.
METHODS = {
    "add_": ("add", 1.5),
    "sub_": ("sub", 1.5),
    "mul_": ("multiply", 1.5),
    "div_": ("div", 1.5),
    "power_": ("power", 2.0),
    "maximum_": ("maximum", 0.4),
    "minimum_": ("minimum", 0.4),
    "clip_": ("clip", 0.3, 0.5),
    "neg_": ("neg",),
    **{
        f"{name}_": (name,)
        for name in (
            "abs", "sign", "reciprocal", "square", "cube", "sqrt", "exp", "log", "log2", "sin",
            "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "floor", "ceil",
            "round",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_the_functions_in_place(name):
    function, *arguments = METHODS[name]
    compute = operator.neg if function == "neg" else getattr(lucid, function)
    data = spaced(2, 3, low=0.1, high=0.9)
    x = Tensor(data, requires_grad=True)
    y = x * 1.0
    assert getattr(y, name)(*arguments) is y
    expected = compute(Tensor(data), *arguments)
    np.testing.assert_array_equal(y.numpy(), expected.numpy())
    y.backward()
    again = Tensor(data, requires_grad=True)
    compute(again, *arguments).backward()
    np.testing.assert_array_equal(x.grad.numpy(), again.grad.numpy())


def test_all_in_place_methods_are_tested():
    own = {name for name in vars(Methods) if name.endswith("_") and name[0] != "_"}
    assert own == set(METHODS)


def test_arrays_left_of_an_operator():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for left in (np.array([3.0, 4.0], np.float32), np.float32(3), 3.0, 3):
        for y in (left * x, left + x, left - x, left / x, left**x):
            assert type(y) is Tensor
            assert y.requires_grad
    assert (np.array([3.0, 4.0]) - x).tolist() == [2.0, 2.0]
    assert (np.array([3, 4]) > x).tolist() == [True, True]


def test_a_jax_array_left_of_an_operator_gives_a_jax_array():
    # JAX asks for __jax_array__ before Python asks for __rmul__.
    x = Tensor([1.0, 2.0])
    assert isinstance(jnp.array([3.0, 4.0]) * x, jax.Array)
    assert type(x * jnp.array([3.0, 4.0])) is Tensor


def test_numbers_of_tensors_are_formatted_and_rounded():
    loss = Tensor(1.23456)
    assert f"{loss:.3f}" == "1.235"
    assert f"{Tensor([2.5]):6.2e}|{Tensor(7):03d}|{Tensor(True):d}" == "2.50e+00|007|1"
    assert f"{loss}" == str(loss)
    assert round(loss, 2).item() == np.float32(1.23)
    assert round(Tensor([1.5, -0.4])).tolist() == [2.0, 0.0]
    assert complex(Tensor(2.0)) == 2 + 0j
    assert (int(Tensor(3.7)), float(Tensor([2])), operator.index(Tensor([4]))) == (3, 2.0, 4)
    with pytest.raises(TypeError) as caught:
        f"{Tensor([1.0, 2.0]):.2f}"
    assert str(caught.value) == (
        "format: '.2f' shows one number, and this Tensor has shape (2,). Format its items, or "
        "print it without a format."
    )
