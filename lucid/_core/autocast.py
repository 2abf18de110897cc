"""`autocast`, and the table of what each function does under it.

A declared function whose name stands in the table is compiled once more for each dtype, with the
conversion of its operands inside: so gradients come back in the dtypes of the operands, and without
autocast nothing is looked up but one attribute of the thread, by these functions alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from lucid._core.mode import Mode
from lucid._core.typing import DType

# Sums of products: 16 bits halve the memory and feed the units that multiply matrices.
_PRODUCTS = """
    matmul dot inner tensordot einsum linear bilinear
    convolve conv1d conv2d conv3d
    convolve_transpose conv_transpose1d conv_transpose2d conv_transpose3d
    in_projection query_projection attention attention_weights attend
    rnn lstm gru rnn_cell lstm_cell gru_cell
"""
# What adds up many terms, or leaves the range of float16 soon.
_SENSITIVE = """
    sum mean var std prod norm logsumexp reduce trace cumsum cumprod
    exp log log1p log2 power square cube reciprocal rsqrt sinh cosh tan arcsin arccos
    softmax log_softmax softplus
    batch_norm batch_norm_training instance_norm_training layer_norm rms_norm group_norm
    global_response_norm normalize cosine_similarity
    mse_loss l1_loss smooth_l1_loss huber_loss kl_div hinge_loss hinge_embedding_loss
    binary_cross_entropy binary_cross_entropy_with_logits nll_loss cross_entropy ctc_loss
    cholesky det inv solve matrix_power pinv qr svd eig
"""
# By the name of a function: whether its floats become 16 bits; else they become float32.
TABLE = {
    **dict.fromkeys(_PRODUCTS.split(), True),
    **dict.fromkeys(_SENSITIVE.split(), False),
}
# Operands of products that are no factors: they meet the scores, which are float32 in any case.
_NO_FACTORS = frozenset({"attn_mask", "scale"})
_HALVES = frozenset(map(np.dtype, (jnp.float16, jnp.bfloat16)))
_FLOATS = _HALVES | {np.dtype(np.float32)}


class autocast(Mode):
    """Compute products of matrices in 16 bits in this block, or in this function.

    Parameters stay as they are, and their gradients have their dtypes. Operands of float32,
    float16 or bfloat16 are converted by three rules; float64, complex numbers and integers never:

    - matrix products, convolutions, attention and recurrent layers compute in `dtype`;
    - sums, means, norms, softmax, losses, powers, exponentials, logarithms and decompositions
      compute in float32;
    - all else computes in the dtypes of its operands.

    It holds for the current thread. Under `lucid.jit` it is part of a program's signature;
    `jax.jit` does not know of it, so enter it inside what `jax.jit` compiles. The backward pass of
    an operation is computed as the operation was, wherever it runs. Small gradients vanish in
    float16: see `lucid.optim.GradScaler`; bfloat16 has the range of float32.

    Args:
        dtype: "bfloat16" or "float16".
        enabled: False turns it off, also inside another block.

    Raises:
        ValueError: `dtype` is another one.

    >>> layer = nn.Linear(4, 2)
    >>> with lucid.autocast():
    ...     y = layer(lucid.ones(3, 4))
    ...     loss = y.square().mean()
    >>> y.dtype, loss.dtype
    (dtype(bfloat16), dtype('float32'))
    >>> loss.backward()
    >>> layer.weight.grad.dtype
    dtype('float32')
    """

    def __init__(self, dtype: DType = "bfloat16", enabled: bool = True) -> None:
        found = None
        with contextlib.suppress(TypeError):
            found = np.dtype(dtype)
        if found not in _HALVES:
            raise ValueError(f'autocast: dtype must be "bfloat16" or "float16", got {dtype!r}.')
        super().__init__("autocast", found if enabled else None)


def converting(
    fn: Callable[..., Any], low: bool, dtype: np.dtype[Any], names: Sequence[str]
) -> Callable[..., Any]:
    """A function of the arrays called `names` that converts them first, as autocast wants it."""
    target = dtype if low else np.dtype(np.float32)

    def converted(name: str, x: Any) -> Any:
        if not hasattr(x, "dtype") or (low and name in _NO_FACTORS):
            return x
        x = jnp.asarray(x)
        return x.astype(target) if x.dtype in _FLOATS and x.dtype != target else x

    return lambda *operands: fn(*map(converted, names, operands))
