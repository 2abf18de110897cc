"""The three maps against NumPy loops, under every lowering that claims the form."""

from __future__ import annotations

import os

import jax
import numpy as np
import pytest

from lucid.ops.conv.lowerings import LOWERINGS, run
from lucid.ops.conv.maps import ROLES
from tests.ops.conv import reference
from tests.ops.conv.cases import CORNERS, aborts_xla, sample

# Sixteen forms each; `CONV_SAMPLE_BLOCKS=100 pytest tests/ops/conv/test_maps.py` before a release.
BLOCKS = int(os.environ.get("CONV_SAMPLE_BLOCKS", "4"))
OUTPUTS = [roles[-1] for roles in ROLES.values()]


def operands(form, out, seed=0):
    rng = np.random.default_rng(seed)
    (roles,) = (roles for *roles, result in ROLES.values() if result == out)
    return [rng.standard_normal(getattr(form, f"{role}_shape")) for role in roles]


def check(forms):
    """All lowerings of all maps of all forms; one program, because compiling dominates."""
    cases = [
        (name, out, form)
        for form in forms
        for out in OUTPUTS
        for name, lowering in LOWERINGS.items()
        if lowering.claims(out, form) and not aborts_xla(name, out, form)
    ]
    values = [operands(form, out) for _, out, form in cases]
    with jax.enable_x64(True):
        compute = jax.jit(
            lambda values: [run("cpu", *c, *v) for c, v in zip(cases, values, strict=True)],
            compiler_options={"xla_backend_optimization_level": 0},
        )
        results = compute(values)
    for (name, out, form), (a, b), result in zip(cases, values, results, strict=True):
        expected = getattr(reference, out)(form, a, b)
        np.testing.assert_allclose(
            result, expected, rtol=1e-10, atol=1e-10, err_msg=f"{name} {out} {form}"
        )


@pytest.mark.parametrize("form", CORNERS.values(), ids=CORNERS)
def test_corner(form):
    check([form])


@pytest.mark.parametrize("block", range(BLOCKS))
def test_samples(block):
    check([sample(1000 * block + seed) for seed in range(16)])
