"""Layers as functions: given Tensors they record and return Tensors; given only jax arrays they
are pure functions for `jax.jit`, `jax.grad` and `jax.vmap`, and return jax arrays. Dropouts draw
from a generator and so always return Tensors.
"""

from lucid._core.declaration import publish
from lucid._core.hints import answer_misses
from lucid.nn.functional.conv import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from lucid.nn.functional.dropout import (
    alpha_dropout,
    drop_block,
    drop_path,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
)
from lucid.nn.functional.lookup import (
    embedding,
    one_hot,
)
from lucid.nn.functional.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge_embedding_loss,
    hinge_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from lucid.nn.functional.norm import (
    batch_norm,
    global_response_norm,
    group_norm,
    instance_norm,
    layer_norm,
    normalize,
)
from lucid.nn.functional.patches import (
    fold,
    unfold,
)
from lucid.nn.functional.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from lucid.nn.functional.resize import (
    interpolate,
    pixel_shuffle,
    pixel_unshuffle,
)
from lucid.ops import activation, affine
from lucid.ops.activation import *
from lucid.ops.affine import *
from lucid.ops.elementwise import tanh

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "drop_block",
    "drop_path",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "embedding",
    "fold",
    "global_response_norm",
    "group_norm",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pixel_shuffle",
    "pixel_unshuffle",
    "smooth_l1_loss",
    "tanh",
    "unfold",
]
__all__ += activation.__all__
__all__ += affine.__all__

publish(globals(), __all__)
answer_misses(globals())
