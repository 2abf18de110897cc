"""Forms computed in pieces: the same values and gradients, however they are cut."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lucid.ops.conv import balanced, chunks, matmul, tuning
from lucid.ops.conv.lowerings import LOWERINGS, run
from lucid.ops.conv.maps import ROLES, bind
from tests.ops.conv import reference
from tests.ops.conv.cases import CORNERS

FORMS = {
    name: CORNERS[name]
    for name in (
        "dilation, output_padding",
        "k < s",
        "k not a multiple of s",
        "padding beyond the kernel",
        "3-D",
    )
} | {
    "batch of 6": dataclasses.replace(CORNERS["channels per group"], batch=6),
    "3-D, no stride": dataclasses.replace(CORNERS["3-D, no stride"], batch=2),
    "7 rows": dataclasses.replace(CORNERS["dilation with groups"], small=(7, 3), large=(10, 7)),
}
CUTS = ("one image", "two images", "one row", "two rows")


def limit_pieces(monkeypatch, form, size, lowering):
    """Set the limits so that a piece of `form`, in float64 by `lowering`, has a size of CUTS."""
    on_small = balanced.axes_on_small(form) if lowering == "balanced" else ()
    columns = 8 * matmul.traffic(form, on_small)
    image = columns // form.batch
    row = image // form.small[0]
    piece = {"one image": image, "two images": 2 * image, "one row": row, "two rows": 2 * row}[size]
    monkeypatch.setattr(tuning, "WHOLE_BYTES", 0)
    monkeypatch.setattr(tuning, "IMAGE_BYTES", 0 if "row" in size else image)
    monkeypatch.setattr(tuning, "PIECE_BYTES", piece)
    pieces = chunks.cut(form, columns)
    batch, rows = pieces.form.batch, pieces.form.small[0]
    if "image" in size:
        assert rows == form.small[0]
        assert batch == (2 if size == "two images" and form.batch % 2 == 0 else 1)
    else:
        assert (batch, rows) == (1, min(form.small[0], 2 if size == "two rows" else 1))
    assert pieces.count == form.batch // batch * -(-form.small[0] // rows)


@pytest.mark.parametrize(
    ("name", "lowering"),
    [
        (name, lowering)
        for name, form in FORMS.items()
        for lowering in ("matmul", "balanced")
        if LOWERINGS[lowering].claims("large", form)
    ],
)
def test_maps(name, lowering, monkeypatch):
    form = FORMS[name]
    rng = np.random.default_rng(0)
    roles = ("small", "large", "kernel")
    arrays = {role: rng.standard_normal(getattr(form, f"{role}_shape")) for role in roles}

    def every_cut(arrays):
        results = {}
        for size in CUTS:
            limit_pieces(monkeypatch, form, size, lowering)
            for *operands, out in ROLES.values():
                a, b = (arrays[role] for role in operands)
                results[size, out] = run("cpu", lowering, out, form, a, b)
        return results

    with jax.enable_x64(True):
        options = {"xla_backend_optimization_level": 0}
        found = jax.jit(every_cut, compiler_options=options)(arrays)
    for *operands, out in ROLES.values():
        expected = getattr(reference, out)(form, *(arrays[role] for role in operands))
        for size in CUTS:
            np.testing.assert_allclose(
                found[size, out], expected, rtol=1e-10, atol=1e-10, err_msg=f"{size} {out}"
            )


@pytest.mark.parametrize("size", ["two images", "two rows"])
def test_second_derivatives(size, monkeypatch):
    form = FORMS["batch of 6"]
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(form.small_shape), rng.standard_normal(form.kernel_shape)

    def derivatives(lowering):
        def wave(x, w):
            return jnp.sin(bind({"small": x, "kernel": w}, form, lowering)).sum()

        def penalty(x, w):
            return sum((g**2).sum() for g in jax.grad(wave, (0, 1))(x, w))

        return jax.jit(jax.grad(penalty, (0, 1))).lower(x, w)

    with jax.enable_x64(True):
        expected = derivatives("definition").compile()(x, w)
        limit_pieces(monkeypatch, form, size, "matmul")
        in_pieces = derivatives("matmul")
        assert "stablehlo.while" in in_pieces.as_text()
        found = in_pieces.compile()(x, w)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * float(np.abs(b).max()))
