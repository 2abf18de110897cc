"""Diagonals and triangles: values, gradients, second derivatives, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.ops import matrix
from tests.helpers import HAS_TORCH, check_op, public_functions, spaced

if HAS_TORCH:
    import torch
else:
    torch = None

X, MATRIX, VECTOR = spaced(2, 3, 4), spaced(3, 4), spaced(3)
INTS = np.arange(6).reshape(2, 3)

# Function: cases of (operand, static arguments, NumPy's function, torch's name or None).
CASES = {
    "tril": [(X, {"diagonal": k}, lambda a, k=k: np.tril(a, k), "tril") for k in (0, 1, -1)],
    "triu": [(X, {"diagonal": k}, lambda a, k=k: np.triu(a, k), "triu") for k in (0, 1, -1)],
    "diagonal": [
        (X, static, lambda a, static=static: np.diagonal(a, **static), None)
        for static in ({}, {"offset": 1}, {"offset": -1, "axis1": 1, "axis2": 2})
    ],
    "diag": [
        (a, {"k": k}, lambda a, k=k: np.diag(a, k), "diag")
        for a in (VECTOR, MATRIX, INTS) for k in (0, 1, -2)
    ],
    "trace": [(MATRIX, {}, np.trace, "trace"), (INTS, {}, np.trace, None), (X, {}, np.trace, None)],
}  # fmt: skip
FLAT = [(name, *case) for name, cases in CASES.items() for case in cases]


@pytest.mark.parametrize("case", FLAT, ids=[f"{case[0]} {case[2]}" for case in FLAT])
def test_function(case):
    name, operand, static, reference, torch_name = case
    torch_fn = torch and torch_name and getattr(torch, torch_name)
    check_op(
        lambda x: getattr(matrix, name)(x, **static),
        reference,
        operand,
        torch_fn=torch_fn and (lambda x: torch_fn(x, *static.values())),
    )


def test_every_function_is_in_the_table():
    assert set(CASES) == public_functions(matrix)


def test_empty_matrices():
    assert lucid.trace(lucid.zeros(0, 0)).item() == 0
    assert lucid.diag(lucid.zeros(0), 1).shape == (1, 1)
    assert lucid.diag(lucid.zeros(2, 3), 5).shape == (0,)


def test_what_is_refused():
    text = r"^diag: a vector or a matrix is needed, got shape \(\)\.$"
    with pytest.raises(ValueError, match=text):
        lucid.diag(3.0)
    with pytest.raises(ValueError, match=r"^trace: a matrix is needed, got shape \(2,\)\.$"):
        Tensor([1.0, 2.0]).trace()
