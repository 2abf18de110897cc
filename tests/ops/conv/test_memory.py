"""Temporary memory of what the CPU compiles."""

from __future__ import annotations

from math import prod

import jax
import jax.numpy as jnp
import pytest

from lucid.ops.conv.geometry import Form
from lucid.ops.conv.lowerings import choose, run
from lucid.ops.conv.maps import ROLES

# batch, groups, small channels, large channels, small, large, kernel, stride, padding, dilation
FORMS = {
    "DCGAN": Form(32, 1, 64, 32, (16, 16), (32, 32), (4, 4), (2, 2), (1, 1), (1, 1)),
    "one piece": Form(8, 1, 128, 64, (8, 8), (16, 16), (4, 4), (2, 2), (1, 1), (1, 1)),
    "k3": Form(8, 1, 64, 64, (32, 32), (32, 32), (3, 3), (1, 1), (1, 1), (1, 1)),
    "FCN k16 s8": Form(1, 1, 21, 21, (34, 34), (280, 280), (16, 16), (8, 8), (0, 0), (1, 1)),
    "rows of one image": Form(2, 1, 32, 32, (256, 256), (256, 256), (3, 3), (1, 1), (1, 1), (1, 1)),
    "3-D k3": Form(2, 1, 32, 32, (16,) * 3, (16,) * 3, (3,) * 3, (1,) * 3, (1,) * 3, (1,) * 3),
    "depthwise": Form(8, 64, 64, 64, (32, 32), (64, 64), (4, 4), (2, 2), (1, 1), (1, 1)),
}


@pytest.mark.parametrize("out", [roles[-1] for roles in ROLES.values()])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_temporary_memory(form, out):
    """im2col, in pieces where that is much."""
    roles = next(roles for *roles, result in ROLES.values() if result == out)
    shapes = [jax.ShapeDtypeStruct(getattr(form, f"{r}_shape"), jnp.float32) for r in roles]
    name = choose("cpu", "auto", out, form)
    compiled = jax.jit(lambda a, b: run("cpu", name, out, form, a, b)).lower(*shapes).compile()
    columns = 4 * form.batch * form.large_channels * prod(form.kernel) * prod(form.small)
    temporary = compiled.memory_analysis().temp_size_in_bytes
    # Windows of one axis on the way to im2col take another half for k4 s2 and their padding a
    # little more; padding axis by axis does not help, since XLA writes padded arrays out.
    assert temporary <= min(1.6 * columns, 64 << 20)
