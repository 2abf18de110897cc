"""Values of Equinox and Flax load by the lines that `lucid.func` documents, run as they stand."""

from __future__ import annotations

import re
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import spaced

RECIPES = [
    textwrap.dedent(block)
    for block in re.findall(r"(?:^    .*\n)+", lucid.func.__doc__, flags=re.MULTILINE)
]
EQUINOX, EQUINOX_TRANSPOSE, FLAX, FLAX_TRANSPOSE = RECIPES


def load(recipe, theirs, layer):
    """Run a recipe, which has three lines at most."""
    assert len(recipe.splitlines()) <= 3
    exec(recipe, {"jnp": jnp, "theirs": theirs, "layer": layer})


def same(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


EQUINOX_LAYERS = {
    "Linear": (("Linear", (6, 4)), (6,), EQUINOX),
    "Conv1d": (("Conv1d", (4, 6, 3, 2)), (4, 9), EQUINOX),
    "Conv2d groups": (("Conv2d", (4, 6, (3, 2), 2, 1), {"groups": 2}), (4, 9, 8), EQUINOX),
    "ConvTranspose1d": (("ConvTranspose1d", (4, 6, 3, 2)), (4, 5), EQUINOX_TRANSPOSE),
    "ConvTranspose2d": (
        ("ConvTranspose2d", (4, 6, (4, 3), (2, 3)), {"padding": 1, "groups": 2}),
        (4, 5, 4),
        EQUINOX_TRANSPOSE,
    ),
    "ConvTranspose3d": (("ConvTranspose3d", (2, 3, 2, 2)), (2, 3, 2, 3), EQUINOX_TRANSPOSE),
    "dilated ConvTranspose2d": (
        ("ConvTranspose2d", (6, 6, 3), {"dilation": 2, "groups": 3}),
        (6, 4, 4),
        EQUINOX_TRANSPOSE,
    ),
}


class TestEquinox:
    @pytest.mark.parametrize("name", EQUINOX_LAYERS)
    def test_layer(self, name):
        eqx = pytest.importorskip("equinox")
        (kind, args, *options), shape, recipe = EQUINOX_LAYERS[name]
        options = options[0] if options else {}
        theirs = getattr(eqx.nn, kind)(*args, **options, key=jax.random.key(2))
        layer = getattr(nn, kind)(*args, **options)
        load(recipe, theirs, layer)
        x = spaced(3, *shape).astype("f")
        same(layer(Tensor(x)).numpy(), jax.vmap(theirs)(x))


FLAX_LAYERS = {
    "Linear": ((nn.Linear, (6, 4)), (6,), FLAX),
    "Conv1d": ((nn.Conv1d, (4, 6, 3, 2)), (9, 4), FLAX),
    "Conv2d groups": ((nn.Conv2d, (4, 6, (3, 2), (2, 1)), {"groups": 2}), (9, 8, 4), FLAX),
    "ConvTranspose1d": ((nn.ConvTranspose1d, (4, 6, 3, 2)), (5, 4), FLAX_TRANSPOSE),
    "ConvTranspose2d": (
        (nn.ConvTranspose2d, (4, 6, (4, 3), (2, 3))), (5, 4, 4), FLAX_TRANSPOSE,
    ),
    "ConvTranspose3d": ((nn.ConvTranspose3d, (2, 3, 3, 2)), (3, 2, 3, 2), FLAX_TRANSPOSE),
}  # fmt: skip


class TestFlax:
    def make(self, name):
        (kind, args, *options), shape, recipe = FLAX_LAYERS[name]
        layer = kind(*args, **(options[0] if options else {}))
        return layer, spaced(3, *shape).astype("f"), recipe

    @staticmethod
    def channels_last(layer, x):
        if isinstance(layer, nn.Linear):
            return layer(Tensor(x)).numpy()
        return np.moveaxis(layer(Tensor(np.moveaxis(x, -1, 1))).numpy(), 1, -1)

    @staticmethod
    def options(layer):
        transposed = "Transpose" in type(layer).__name__
        groups = {} if transposed else {"feature_group_count": layer.groups}
        return {
            "kernel_size": layer.kernel_size, "strides": layer.stride, "padding": "VALID", **groups,
        }  # fmt: skip

    @pytest.mark.parametrize("name", FLAX_LAYERS)
    def test_linen(self, name):
        linen = pytest.importorskip("flax.linen")
        layer, x, recipe = self.make(name)
        if isinstance(layer, nn.Linear):
            theirs = linen.Dense(layer.out_features)
        else:
            kind = linen.ConvTranspose if recipe == FLAX_TRANSPOSE else linen.Conv
            theirs = kind(layer.out_channels, **self.options(layer))
        params = theirs.init(jax.random.key(2), x)["params"]
        params = {**params, "bias": spaced(*params["bias"].shape).astype("f")}
        load(recipe, params, layer)
        same(self.channels_last(layer, x), theirs.apply({"params": params}, x))

    @pytest.mark.parametrize("name", FLAX_LAYERS)
    def test_nnx(self, name):
        nnx = pytest.importorskip("flax.nnx")
        layer, x, recipe = self.make(name)
        rngs = nnx.Rngs(2)
        if isinstance(layer, nn.Linear):
            theirs = nnx.Linear(layer.in_features, layer.out_features, rngs=rngs)
        else:
            kind = nnx.ConvTranspose if recipe == FLAX_TRANSPOSE else nnx.Conv
            theirs = kind(layer.in_channels, layer.out_channels, **self.options(layer), rngs=rngs)
        theirs.bias[...] = spaced(*theirs.bias.shape).astype("f")
        load(recipe, nnx.to_pure_dict(nnx.state(theirs)), layer)
        same(self.channels_last(layer, x), theirs(x))
