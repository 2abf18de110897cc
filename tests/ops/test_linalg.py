"""Every product: values, gradients and second derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.ops import linalg
from tests.helpers import HAS_TORCH, check_op, public_functions, spaced

if HAS_TORCH:
    import torch
else:
    torch = None


def arrays(*shapes):
    return tuple(spaced(*shape, seed=i) for i, shape in enumerate(shapes))


# Function: cases of (operands, static arguments, NumPy's function, torch's function or None).
CASES = {
    "matmul": [
        (arrays(*shapes), {}, np.matmul, torch and torch.matmul)
        for shapes in (
            [(2, 3), (3, 4)], [(3,), (3,)], [(2, 3), (3,)], [(3,), (3, 2)],
            [(2, 2, 3), (3, 2)], [(2, 1, 2, 3), (3, 3, 2)],
        )
    ],
    "dot": [
        (arrays((4,), (4,)), {}, np.dot, torch and torch.dot),
        (arrays((2, 3), (3, 2)), {}, np.dot, None),
        (arrays((2, 2, 3), (2, 3, 2)), {}, np.dot, None),
    ],
    "inner": [
        (arrays(*shapes), {}, np.inner, torch and torch.inner)
        for shapes in ([(3,), (3,)], [(2, 3), (4, 3)], [(2, 2, 3), (3,)], [(), (2, 3)])
    ],
    "outer": [(arrays((3,), (4,)), {}, np.outer, torch and torch.outer)],
    "tensordot": [
        (arrays((2, 3, 2), second), {"axes": axes},
         lambda a, b, axes=axes: np.tensordot(a, b, axes),
         torch and (lambda a, b, axes=axes: torch.tensordot(a, b, axes)))
        for second, axes in (
            ((2, 4), 1), ((3, 2, 2), 2), ((3, 2, 2), ((1, 2), (0, 1))),
            ((4, 2, 2), ((0, 2), (2, 1))),
        )
    ],
    "einsum": [
        (operands, {"subscripts": s}, lambda *xs, s=s: np.einsum(s, *xs),
         torch and (lambda *xs, s=s: torch.einsum(s, *xs)))
        for s, operands in {
            "ij,jk->ik": arrays((2, 3), (3, 4)),
            "bij,bjk,bk->bi": arrays((2, 3, 2), (2, 2, 2), (2, 2)),
            "ii->i": arrays((3, 3)),
            "ij->ji": arrays((2, 3)),
            "...i,i->...": arrays((2, 2, 3), (3,)),
        }.items()
    ],
}  # fmt: skip
FLAT = [(name, *case) for name, cases in CASES.items() for case in cases]


@pytest.mark.parametrize(
    "case", FLAT, ids=[f"{c[0]} {[x.shape for x in c[1]]} {c[2]}" for c in FLAT]
)
def test_function(case):
    name, operands, static, reference, torch_fn = case
    fn = getattr(linalg, name)
    check_op(
        lambda *xs: fn(*static.values(), *xs) if name == "einsum" else fn(*xs, **static),
        reference,
        *operands,
        torch_fn=torch_fn,
        rtol=1e-11,
    )


def test_every_function_is_in_the_table():
    assert set(CASES) == public_functions(linalg)


def test_matmul_operator():
    x, w = arrays((2, 3), (3, 4))
    expected = (x @ w).astype("f")
    for left, right in ((Tensor(x), Tensor(w)), (Tensor(x), w), (x, Tensor(w))):
        result = left @ right
        assert type(result) is Tensor
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-5)


def test_shapes_that_do_not_fit():
    with pytest.raises((TypeError, ValueError), match=r"3.*4|4.*3"):
        lucid.zeros(2, 3) @ lucid.zeros(4, 2)
