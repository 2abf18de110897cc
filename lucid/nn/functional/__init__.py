"""Layers as functions: given Tensors they record and return Tensors; given only jax arrays they
are pure functions for `jax.jit`, `jax.grad` and `jax.vmap`, and return jax arrays. Dropouts draw
from a generator and so always return Tensors.
"""

from lucid._core.package import publish
from lucid.nn.functional import conv, patches, pool
from lucid.nn.functional.attention import scaled_dot_product_attention
from lucid.nn.functional.conv import *
from lucid.nn.functional.dropout import (
    alpha_dropout,
    drop_block,
    drop_path,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
)
from lucid.nn.functional.lookup import embedding, one_hot
from lucid.nn.functional.norm import batch_norm, instance_norm
from lucid.nn.functional.patches import *
from lucid.nn.functional.pool import *
from lucid.nn.functional.position import sinusoidal_pos_embedding
from lucid.ops import activation, affine, classification, loss, norm, resize, sampling
from lucid.ops.activation import *
from lucid.ops.affine import *
from lucid.ops.classification import *
from lucid.ops.ctc import ctc_loss
from lucid.ops.loss import *
from lucid.ops.norm import *
from lucid.ops.padding import pad
from lucid.ops.position import rotary_pos_embedding
from lucid.ops.resize import *
from lucid.ops.sampling import *
from lucid.ops.trigonometry import tanh

__all__ = [
    "alpha_dropout",
    "batch_norm",
    "ctc_loss",
    "drop_block",
    "drop_path",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "embedding",
    "instance_norm",
    "one_hot",
    "pad",
    "rotary_pos_embedding",
    "scaled_dot_product_attention",
    "sinusoidal_pos_embedding",
    "tanh",
]
__all__ += conv.__all__
__all__ += patches.__all__
__all__ += pool.__all__
__all__ += activation.__all__
__all__ += affine.__all__
__all__ += classification.__all__
__all__ += loss.__all__
__all__ += norm.__all__
__all__ += resize.__all__
__all__ += sampling.__all__

publish(globals())
