"""Affine maps: values, gradients, second derivatives, errors."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid.ops import affine
from tests.helpers import HAS_TORCH, check_op, public_functions, spaced

if HAS_TORCH:
    import torch
else:
    torch = None

SHAPES = {
    "batch": [(2, 3), (4, 3), (4,)],
    "axes in front, no bias": [(2, 2, 3), (2, 3)],
    "one vector": [(3,), (2, 3), (2,)],
}


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_linear(shapes):
    check_op(
        affine.linear,
        lambda x, w, b=0.0: x @ w.T + b,
        *(spaced(*shape, seed=i) for i, shape in enumerate(shapes)),
        torch_fn=torch and (lambda *xs: torch.nn.functional.linear(*xs)),
        rtol=1e-11,
    )


def test_every_function_is_tested():
    assert public_functions(affine) == {"bilinear", "linear"}


def test_shapes_that_do_not_fit():
    text = (
        "linear: the last axis of the input must be as long as the last of the weight, which has "
        "two axes; got input (2, 3) and weight (4, 5)."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        lucid.nn.functional.linear(lucid.zeros(2, 3), lucid.zeros(4, 5))


def test_bilinear():
    shapes = [(2, 3, 4), (2, 3, 5), (6, 4, 5), (6,)]
    check_op(
        affine.bilinear,
        lambda x, z, w, b: np.einsum("...i,oij,...j->...o", x, w, z) + b,
        *(spaced(*shape, seed=i) for i, shape in enumerate(shapes)),
        torch_fn=torch and (lambda *xs: torch.nn.functional.bilinear(*xs)),
        rtol=1e-11,
    )
    with pytest.raises(ValueError, match=r"^bilinear: inputs .* got \(2, 4\), \(3, 5\) and"):
        affine.bilinear(lucid.zeros(2, 4), lucid.zeros(3, 5), lucid.zeros(6, 4, 5))
