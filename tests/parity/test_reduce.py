"""Reductions against torch, over the same axes."""

from __future__ import annotations

import numpy as np
import pytest

from lucid.ops import reduce
from tests.helpers import check_op, spaced

torch = pytest.importorskip("torch")

NAMES = {"sum": {}, "mean": {}, "var": {"correction": 0}, "amax": {}, "amin": {}}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("axis", [0, -1, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name, axis, keepdims):
    fn = getattr(reduce, name.removeprefix("a"))
    check_op(
        lambda x: fn(x, axis=axis, keepdims=keepdims),
        lambda x: getattr(np, name)(x, axis=axis, keepdims=keepdims),
        spaced(2, 3, 4),
        torch_fn=lambda x: getattr(torch, name)(x, dim=axis, keepdim=keepdims, **NAMES[name]),
    )
