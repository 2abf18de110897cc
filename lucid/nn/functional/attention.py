"""Attention as a function."""

from __future__ import annotations

from typing import Literal, overload

from lucid._core.arguments import is_number
from lucid._core.known import check_within
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand
from lucid.nn.functional.dropout import dropout
from lucid.ops import attention as ops


@overload
def scaled_dot_product_attention(
    query: Operand,
    key: Operand,
    value: Operand,
    attn_mask: Operand | None = None,
    dropout_p: Operand = 0.0,
    is_causal: bool = False,
    scale: Operand | None = None,
    output_weight: Literal[False] = False,
    enable_gqa: bool = False,
) -> Tensor: ...
@overload
def scaled_dot_product_attention(
    query: Operand,
    key: Operand,
    value: Operand,
    attn_mask: Operand | None = None,
    dropout_p: Operand = 0.0,
    is_causal: bool = False,
    scale: Operand | None = None,
    *,
    output_weight: Literal[True],
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor]: ...
def scaled_dot_product_attention(
    query: Operand,
    key: Operand,
    value: Operand,
    attn_mask: Operand | None = None,
    dropout_p: Operand = 0.0,
    is_causal: bool = False,
    scale: Operand | None = None,
    output_weight: bool = False,
    enable_gqa: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """softmax(scale * query @ key.T + mask) @ value: each query's mean of the values.

    Vaswani et al., arXiv:1706.03762, equation 1. The 16-bit floats are computed with in float32. A
    query that may see no key gets zeros.

    Shape: query (..., L, E), key (..., S, E), value (..., S, V) -> (..., L, V); leading axes, such
        as batch and heads, broadcast.

    Args:
        attn_mask: broadcast to (..., L, S). Bools are true where a query may see a key; floats are
            added to the scores, so that -inf hides a key.
        dropout_p: the probability with which a weight is dropped, also in evaluation: the function
            knows no mode.
        is_causal: hide from query i all keys after key i, beside what `attn_mask` hides.
        scale: 1 / sqrt(E) by default.
        output_weight: return the weights (..., L, S) too, as the values met them.
        enable_gqa: let each head, axis -3, of key and value serve as many neighbouring heads of
            the query (Ainslie et al., arXiv:2305.13245).

    Raises:
        ValueError: shapes do not fit, or `dropout_p` is not from 0 to 1.
        TypeError: `attn_mask` holds integers.

    >>> q, k, v = Tensor([[1.0, 0.0]]), lucid.eye(2), Tensor([[1.0], [5.0]])
    >>> F.scaled_dot_product_attention(q, k, v, scale=0.0)
    Tensor([[3.]])
    >>> F.scaled_dot_product_attention(q, k, v, is_causal=True)
    Tensor([[1.]])
    """
    check_within("scaled_dot_product_attention", "dropout_p", dropout_p, 0, 1)
    drops = not (is_number(dropout_p) and dropout_p == 0)
    if not drops and not output_weight:
        return ops.attention(query, key, value, attn_mask, scale, is_causal, enable_gqa)
    weights = ops.attention_weights(query, key, attn_mask, scale, is_causal, enable_gqa)
    if drops:
        weights = dropout(weights, dropout_p)
    result = ops.attend(weights, value, enable_gqa)
    return (result, weights.astype(result.dtype)) if output_weight else result
