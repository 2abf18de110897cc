"""Every elementwise function: values, gradients, second derivatives, and the names it goes by."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.ops import elementwise, logic, trigonometry
from tests.helpers import HAS_TORCH, check_op, public_functions, spaced

if HAS_TORCH:
    import torch
else:
    torch = None

X, Y = spaced(3, 4), spaced(3, 4, seed=1)
POSITIVE, UNIT = spaced(3, 4, low=0.2, high=3.0), spaced(3, 4, low=-0.9, high=0.9)
FAR = Y + np.copysign(0.5, Y)  # from 0, where quotients are steep
ROW, COLUMN = spaced(4, seed=2), spaced(3, 1, seed=3)
INTS, OTHER_INTS = np.array([-7, 5, 0, 6]), np.array([2, 3, -4, -5])
BOOLS, OTHER_BOOLS = np.array([True, False, True]), np.array([True, True, False])
ODD = np.array([1.0, np.inf, -np.inf, np.nan, 0.0])
NEAR = np.array([1.05, np.inf, -np.inf, np.nan, 1e-9])

# Function: cases of (operands, static arguments, NumPy's function, torch's name or None).
CASES = {
    "add": [((X, Y), {}, np.add, "add"), ((COLUMN, ROW), {}, np.add, "add")],
    "sub": [((X, Y), {}, np.subtract, "sub"), ((X, COLUMN), {}, np.subtract, "sub")],
    "multiply": [((X, Y), {}, np.multiply, "mul"), ((ROW, X), {}, np.multiply, "mul")],
    "div": [
        ((X, FAR), {}, np.divide, "div"),
        ((INTS, OTHER_INTS), {}, np.divide, None),
        ((INTS, OTHER_INTS), {"floor": True}, np.floor_divide, None),
    ],
    "floor_div": [
        ((X, FAR), {}, np.floor_divide, None),
        ((INTS, OTHER_INTS), {}, np.floor_divide, "floor_divide"),
    ],
    "remainder": [
        ((X, np.array([0.7, -0.9, 1.3, -3.1])), {}, np.mod, None),
        ((INTS, OTHER_INTS), {}, np.mod, "remainder"),
    ],
    "power": [((POSITIVE, Y), {}, np.power, "pow"), ((POSITIVE, ROW), {}, np.power, "pow")] + [
        ((FAR,), {"b": n}, lambda a, n=n: a ** np.float64(n), None)
        for n in (0, 1, 2, 3, -2, 2.0, -3.0)
    ] + [((POSITIVE,), {"b": 0.5}, np.sqrt, None)],
    "maximum": [((X, Y), {}, np.maximum, "maximum")],
    "minimum": [((X, Y), {}, np.minimum, "minimum")],
    "equal": [((INTS, np.array([-7, 4, 0, 1])), {}, np.equal, "eq")],
    "not_equal": [((INTS, np.array([-7, 4, 0, 1])), {}, np.not_equal, "ne")],
    "less": [((X, Y), {}, np.less, "less"), ((INTS, INTS), {}, np.less, "less")],
    "less_equal": [
        ((X, Y), {}, np.less_equal, "less_equal"), ((INTS, INTS), {}, np.less_equal, None),
    ],
    "greater": [((X, Y), {}, np.greater, "greater"), ((INTS, INTS), {}, np.greater, None)],
    "greater_equal": [((X, Y), {}, np.greater_equal, "greater_equal")],
    "bitwise_and": [
        ((INTS, OTHER_INTS), {}, np.bitwise_and, "bitwise_and"),
        ((BOOLS, OTHER_BOOLS), {}, np.logical_and, "logical_and"),
    ],
    "bitwise_or": [
        ((INTS, OTHER_INTS), {}, np.bitwise_or, "bitwise_or"),
        ((BOOLS, OTHER_BOOLS), {}, np.logical_or, "logical_or"),
    ],
    "bitwise_xor": [
        ((INTS, OTHER_INTS), {}, np.bitwise_xor, "bitwise_xor"),
        ((BOOLS, OTHER_BOOLS), {}, np.logical_xor, "logical_xor"),
    ],
    "invert": [
        ((INTS,), {}, np.invert, "bitwise_not"), ((BOOLS,), {}, np.logical_not, "logical_not"),
    ],
    "negative": [((X,), {}, np.negative, "neg"), ((INTS,), {}, np.negative, "neg")],
    "abs": [((X,), {}, np.abs, "abs"), ((INTS,), {}, np.abs, "abs")],
    "sign": [((X,), {}, np.sign, "sign")],
    "reciprocal": [((FAR,), {}, np.reciprocal, "reciprocal")],
    "square": [((X,), {}, np.square, "square")],
    "cube": [((X,), {}, lambda a: a**3, None)],
    "sqrt": [((POSITIVE,), {}, np.sqrt, "sqrt")],
    "exp": [((X,), {}, np.exp, "exp")],
    "log": [((POSITIVE,), {}, np.log, "log")],
    "log1p": [((POSITIVE - 0.9,), {}, np.log1p, "log1p")],
    "rsqrt": [((POSITIVE,), {}, lambda a: a**-0.5, "rsqrt")],
    "isnan": [((ODD,), {}, np.isnan, "isnan"), ((INTS,), {}, np.isnan, "isnan")],
    "isinf": [((ODD,), {}, np.isinf, "isinf"), ((INTS,), {}, np.isinf, "isinf")],
    "isfinite": [((ODD,), {}, np.isfinite, "isfinite"), ((BOOLS,), {}, np.isfinite, "isfinite")],
    "isclose": [
        ((ODD[:, None], NEAR), static, lambda a, b, s=static: np.isclose(a, b, **s), None)
        for static in ({}, {"rtol": 0.1}, {"atol": 0.1, "equal_nan": True})
    ],
    "allclose": [
        ((ODD, NEAR), static, lambda a, b, s=static: np.array(np.allclose(a, b, **s)), None)
        for static in ({}, {"rtol": 0.1, "equal_nan": True})
    ],
    "log2": [((POSITIVE,), {}, np.log2, "log2")],
    "sin": [((X,), {}, np.sin, "sin")],
    "cos": [((X,), {}, np.cos, "cos")],
    "tan": [((UNIT,), {}, np.tan, "tan")],
    "arcsin": [((UNIT,), {}, np.arcsin, "arcsin")],
    "arccos": [((UNIT,), {}, np.arccos, "arccos")],
    "arctan": [((X,), {}, np.arctan, "arctan")],
    "sinh": [((X,), {}, np.sinh, "sinh")],
    "cosh": [((X,), {}, np.cosh, "cosh")],
    "tanh": [((X,), {}, np.tanh, "tanh")],
    "floor": [((X * 3,), {}, np.floor, "floor")],
    "ceil": [((X * 3,), {}, np.ceil, "ceil")],
    "round": [
        ((X * 3,), {}, np.round, "round"),
        ((X * 3,), {"decimals": 1}, lambda a: np.round(a, 1), None),
    ],
    "clip": [
        ((X,), {"min_value": lo, "max_value": hi}, lambda a, lo=lo, hi=hi: np.clip(a, lo, hi), None)
        for lo, hi in ((-1.0, 0.5), (None, 0.5), (-1.0, None), (-1, 1))
    ],
    "where": [
        ((X > 0, X, Y), {}, np.where, "where"), ((COLUMN > 0, ROW, Y), {}, np.where, "where"),
    ],
    "masked_fill": [((X, X > 0.3), {"value": -1.5}, lambda a, m: np.where(m, -1.5, a), None)],
    "astype": [
        ((X,), {"dtype": np.dtype("int32")}, lambda a: a.astype("int32"), None),
        ((INTS,), {"dtype": np.dtype("float64")}, lambda a: a.astype("float64"), None),
    ],
}  # fmt: skip
ROOMS = (elementwise, logic, trigonometry)
FUNCTIONS = {name: value for room in ROOMS for name, value in vars(room).items()}
FLAT = [(name, *case) for name, cases in CASES.items() for case in cases]


@pytest.mark.parametrize("case", FLAT, ids=[case[0] for case in FLAT])
def test_function(case):
    name, operands, static, reference, torch_name = case
    fn = FUNCTIONS[name]
    check_op(
        lambda *xs: fn(*xs, **static),
        reference,
        *operands,
        torch_fn=torch and torch_name and getattr(torch, torch_name),
        rtol=1e-11,
    )


def test_every_function_is_in_the_table():
    assert set(CASES) == set().union(*map(public_functions, ROOMS))


SYMBOLS = {
    "+": "add", "-": "sub", "*": "multiply", "/": "div", "//": "floor_div", "%": "remainder",
    "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal", "==": "equal",
    "!=": "not_equal", "**": "power",
}  # fmt: skip


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_operators_and_their_reflections(symbol):
    fn = FUNCTIONS[SYMBOLS[symbol]]
    x = spaced(2, 3, low=0.3, high=3.0).astype("f")
    y = spaced(2, 3, low=0.3, high=3.0, seed=1).astype("f")
    a, b = Tensor(x), Tensor(y)
    expected = fn(a, b).numpy()
    for left, right in ((a, b), (a, y), (x, b)):
        result = eval(f"left {symbol} right", {"left": left, "right": right})
        assert type(result) is Tensor
        np.testing.assert_array_equal(result.numpy(), expected)
    for number in (2, 2.5, True, np.float32(2.5)):
        forward = eval(f"a {symbol} n", {"a": a, "n": number})
        backward = eval(f"n {symbol} a", {"a": a, "n": number})
        np.testing.assert_allclose(forward.numpy(), fn(a, number).numpy(), rtol=1e-6)
        np.testing.assert_allclose(
            backward.numpy(), fn(Tensor(float(number)), a).numpy(), rtol=1e-6
        )


@pytest.mark.parametrize(("symbol", "name"), [("&", "and"), ("|", "or"), ("^", "xor")])
def test_bitwise_operators(symbol, name):
    fn = FUNCTIONS[f"bitwise_{name}"]
    a, b = Tensor(INTS), Tensor(OTHER_INTS)
    for left, right in ((a, b), (INTS, b), (a, 6), (6, a)):
        result = eval(f"left {symbol} right", {"left": left, "right": right})
        np.testing.assert_array_equal(result.numpy(), fn(Tensor(left), Tensor(right)).numpy())


def test_unary_operators():
    a = Tensor(X)
    assert +a is a
    np.testing.assert_array_equal((-a).numpy(), -a.numpy())
    np.testing.assert_array_equal(abs(a).numpy(), np.abs(a.numpy()))
    np.testing.assert_array_equal((~Tensor(BOOLS)).numpy(), ~BOOLS)


@pytest.mark.parametrize("other", ["text", None, [1.0, 2.0], object()])
@pytest.mark.parametrize("symbol", ["+", "*", "<", "@", "**"])
def test_what_is_no_operand_is_refused(symbol, other):
    with pytest.raises(TypeError, match=r"unsupported operand|not supported between|is an index"):
        eval(f"x {symbol} other", {"x": Tensor([1.0, 2.0]), "other": other})
    assert (Tensor([1.0]) == "text") is False
    assert (Tensor([1.0]) != None) is True  # noqa: E711


# --- Dtypes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compute", "dtype"),
    [
        (lambda i, f: i * 2.5, "float32"),
        (lambda i, f: 2.5 * i, "float32"),
        (lambda i, f: i + 1, "int32"),
        (lambda i, f: i / 2, "float32"),
        (lambda i, f: i // 2, "int32"),
        (lambda i, f: i**2, "int32"),
        (lambda i, f: i**0.5, "float32"),
        (lambda i, f: i + True, "int32"),
        (lambda i, f: i * 1j, "complex64"),
        (lambda i, f: f * 2, "float32"),
        (lambda i, f: f * 1j, "complex64"),
        (lambda i, f: i + f, "float32"),
        (lambda i, f: f.half() * 2.5, "float16"),
        (lambda i, f: f.bfloat16() * 2.5, "bfloat16"),
        (lambda i, f: 1 / f.half(), "float16"),
        (lambda i, f: f.half() ** 2.5, "float16"),
        (lambda i, f: f.half() + f, "float32"),
        (lambda i, f: f.bfloat16() + f.half(), "float32"),
        (lambda i, f: i.char() * i.short(), "int16"),
        (lambda i, f: i.half() * i, "float16"),
        (lambda i, f: i > 1, "bool"),
        (lambda i, f: lucid.where(i > 1, f.half(), 0.0), "float16"),
        (lambda i, f: lucid.maximum(f.half(), 0.0), "float16"),
        (lambda i, f: f.half().clip(0.0, 1.0), "float16"),
        (lambda i, f: i.clip(0, 1), "int32"),
        (lambda i, f: i.bool() + i.bool(), "bool"),
        (lambda i, f: f.half().mean(), "float16"),
        (lambda i, f: i.mean(), "float32"),
        (lambda i, f: i.sum(), "int32"),
        (lambda i, f: i.bool().sum(), "int32"),
        (lambda i, f: i.sqrt(), "float32"),
        (lambda i, f: f.half().sqrt(), "float16"),
    ],
)  # fmt: skip
def test_dtypes_of_results(compute, dtype):
    ints, floats = Tensor([1, 2, 3]), Tensor([0.5, 1.5, 2.5])
    assert compute(ints, floats).dtype == dtype


def test_int_times_float_is_right():
    assert (Tensor([1, 2]) * 2.5).tolist() == [2.5, 5.0]
    assert (2.5 - Tensor([1, 2])).tolist() == [1.5, 0.5]


def test_gradients_keep_the_dtype_of_their_tensor():
    half, single = (
        Tensor([1.5], dtype="float16", requires_grad=True),
        Tensor([2.0], requires_grad=True),
    )
    (half * single * 2.5).backward()
    assert (half.grad.dtype, single.grad.dtype) == (np.float16, np.float32)
    assert (half.grad.item(), single.grad.item()) == (5.0, 3.75)


# --- Gradients at corners ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "at", "expected"),
    [
        (abs, 0.0, 0.0),
        (lambda x: x.clip(0.0, 1.0), 0.0, 1.0),
        (lambda x: x.clip(0.0, 1.0), 1.0, 1.0),
        (lambda x: x.clip(0.0, 1.0), 1.5, 0.0),
        (lambda x: lucid.maximum(x, 2.0), 2.0, 0.5),
        (lambda x: lucid.minimum(x, 2.0), 2.0, 0.5),
        (lambda x: x**2, 0.0, 0.0),
        (lambda x: x**1, 0.0, 1.0),
        (lambda x: x**0, 0.0, 0.0),
        (lambda x: x**2.0, -3.0, -6.0),
        (lambda x: x**3, -2.0, 12.0),
    ],
)  # fmt: skip
def test_gradients_at_corners(fn, at, expected):
    x = Tensor(at, requires_grad=True)
    fn(x).backward()
    assert x.grad.item() == expected


def test_equal_largest_values_share_the_gradient():
    x = Tensor([1.0, 5.0, 5.0], requires_grad=True)
    x.max().backward()
    assert x.grad.tolist() == [0.0, 0.5, 0.5]


def floored(a, b):
    return lucid.div(a, b, floor=True)


@pytest.mark.parametrize("divide", [lambda a, b: a // b, lambda a, b: a % b, floored])
def test_integers_are_not_divided_by_zero(divide):
    for divisor in (0, np.array([1, 0]), Tensor([0, 2])):
        with pytest.raises(ZeroDivisionError, match="there is no integer that is a quotient by 0"):
            divide(Tensor([3, 4]), divisor)
    assert np.isnan(divide(Tensor([0.0]), 0).item())
