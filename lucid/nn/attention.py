"""Attention layers."""

from __future__ import annotations

import numpy as np

from lucid._core.arguments import count
from lucid._core.known import check_within
from lucid._core.tensor import Tensor
from lucid.nn import functional as F
from lucid.nn import init
from lucid.nn.cache import EncoderDecoderCache, KVCache, Stored
from lucid.nn.linear import Linear
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter
from lucid.ops import multi_head as ops

__all__ = [
    "MultiHeadAttention",
    "ScaledDotProductAttention",
]


class ScaledDotProductAttention(Module):
    """`F.scaled_dot_product_attention`; weights are dropped in training only.

    Shape: query (..., L, E), key (..., S, E), value (..., S, V) -> (..., L, V)

    Args:
        attn_mask: bools, true where a query may see a key, or floats that are added to the scores.
        dropout_p: probability, from 0 to 1, with which a weight is dropped.
        is_causal: hide from query i all keys after key i.
        scale: 1 / sqrt(E) by default.

    Raises:
        ValueError: `dropout_p` is out of range, or shapes do not fit.

    >>> attention = nn.ScaledDotProductAttention(is_causal=True)
    >>> attention(lucid.randn(2, 3, 4), lucid.randn(2, 3, 4), lucid.randn(2, 3, 5)).shape
    (2, 3, 5)
    """

    def __init__(
        self,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        check_within("ScaledDotProductAttention", "dropout_p", dropout_p, 0, 1)
        self.register_buffer("attn_mask", attn_mask, persistent=False)
        self.dropout_p = dropout_p
        self.is_causal = is_causal
        self.scale = scale

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Each query's mean of the values."""
        p = self.dropout_p if self.training else 0.0
        return F.scaled_dot_product_attention(
            query, key, value, self.attn_mask, p, self.is_causal, self.scale
        )

    def extra_repr(self) -> str:
        return f"dropout_p={self.dropout_p}, is_causal={self.is_causal}, scale={self.scale}"


class MultiHeadAttention(Module):
    """Attention of several heads at once, between a projection of the inputs and one of the result.

    Vaswani et al., arXiv:1706.03762, section 3.2.2. The first axis is the batch. The state is that
    of PyTorch's `MultiheadAttention`: `in_proj_weight`, or `q_proj_weight`, `k_proj_weight` and
    `v_proj_weight` if keys or values have another size; `in_proj_bias`, `bias_k`, `bias_v`,
    `out_proj`. Only the result is returned; weights show in `F.scaled_dot_product_attention`.

    Shape: query (N, L, embed_dim), key (N, S, kdim), value (N, S, vdim) -> (N, L, embed_dim); all
        also without N

    Args:
        embed_dim: size of queries and results.
        num_heads: number of heads; divides `embed_dim`.
        dropout: probability, from 0 to 1, with which a weight is dropped in training.
        bias: whether the projections have biases.
        use_separate_proj_weight: whether keys and values may have other sizes than queries.
        add_bias_kv: add a learned key and value to those of each sample.
        add_zero_attn: add a key and value of zeros.
        kdim: size of keys; `embed_dim` by default.
        vdim: size of values; `embed_dim` by default.

    Raises:
        ValueError: sizes do not match, or `dropout` is out of range.
        TypeError: a size is no integer, or a mask holds integers.

    >>> attention = nn.MultiHeadAttention(embed_dim=8, num_heads=2)
    >>> x = lucid.randn(3, 5, 8)
    >>> attention(x, x, x, is_causal=True).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        use_separate_proj_weight: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
    ) -> None:
        super().__init__()
        self.embed_dim = e = count("MultiHeadAttention", "embed_dim", embed_dim)
        self.num_heads = count("MultiHeadAttention", "num_heads", num_heads)
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiHeadAttention: num_heads must divide embed_dim, got {num_heads} and "
                f"{embed_dim}."
            )
        check_within("MultiHeadAttention", "dropout", dropout, 0, 1)
        self.dropout = dropout
        self.kdim = e if kdim is None else count("MultiHeadAttention", "kdim", kdim)
        self.vdim = e if vdim is None else count("MultiHeadAttention", "vdim", vdim)
        together = self.kdim == self.vdim == e
        if not (together or use_separate_proj_weight):
            raise ValueError(
                "MultiHeadAttention: without use_separate_proj_weight, kdim and vdim must be "
                f"embed_dim={e}, got {self.kdim} and {self.vdim}."
            )
        self.use_separate_proj_weight = use_separate_proj_weight
        self.add_zero_attn = add_zero_attn
        self.in_proj_weight = Parameter(np.zeros((3 * e, e))) if together else None
        self.q_proj_weight = None if together else Parameter(np.zeros((e, e)))
        self.k_proj_weight = None if together else Parameter(np.zeros((e, self.kdim)))
        self.v_proj_weight = None if together else Parameter(np.zeros((e, self.vdim)))
        self.in_proj_bias = Parameter(np.zeros(3 * e)) if bias else None
        self.bias_k = Parameter(np.zeros((1, 1, e))) if add_bias_kv else None
        self.bias_v = Parameter(np.zeros((1, 1, e))) if add_bias_kv else None
        self.out_proj = Linear(e, e, bias)
        self.reset_parameters()

    def _weights(self) -> tuple[Parameter, ...]:
        separate = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        return tuple(w for w in (self.in_proj_weight, *separate) if w is not None)

    def reset_parameters(self) -> None:
        """Draw all weights anew, as PyTorch does; biases of the projections are 0."""
        self.out_proj.reset_parameters()
        for weight in self._weights():
            init.xavier_uniform(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros(bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        kv_cache: KVCache | EncoderDecoderCache | None = None,
        use_cache: bool = False,
        cache_position: Tensor | None = None,
        cache_layer_idx: int | None = None,
    ) -> Tensor:
        """Attention of `query` to `key` and `value`, and with a cache to earlier ones.

        Args:
            query: what attends.
            key: what is attended to.
            value: what is taken from there.
            key_padding_mask: (N, S), or (S,) without a batch. As in PyTorch, and other than in
                `F.scaled_dot_product_attention`, bools are true where a key is hidden; floats are
                added to the scores.
            attn_mask: (L, S), (N * num_heads, L, S) or (N, num_heads, L, S), in the same way.
            is_causal: hide from each query all later keys, beside what the masks hide.
            kv_cache: the cache. To a `KVCache` keys and values are added; queries then stand at
                their positions, and S counts all keys that are there. Of an `EncoderDecoderCache`
                the keys and values of the memory are used in place of `key` and `value`, which it
                stores in the first call.
            use_cache: whether the cache is used.
            cache_position: positions of the keys, see `KVCache.update`.
            cache_layer_idx: the number of this layer in the cache.
        """
        self._check_shapes(query, key, value)
        cache = kv_cache if use_cache else None
        if use_cache and (cache is None or cache_layer_idx is None):
            raise ValueError("MultiHeadAttention: use_cache needs kv_cache and cache_layer_idx.")
        q, (k, v, positions, length) = self._projected(
            query, key, value, cache, cache_position, cache_layer_idx or 0
        )
        more = (self.bias_k is not None) + self.add_zero_attn
        if positions is None and more:
            positions = np.arange(query.shape[-2])
        mask, causal = None, is_causal and positions is None
        if not is_causal:
            positions = None
        if any(x is not None for x in (attn_mask, key_padding_mask, positions, length)):
            mask = ops.joined_mask(
                attn_mask, key_padding_mask, positions, length, self.num_heads, k.shape[-2], more
            )
        if more:
            k = ops.with_more_keys(k, self.bias_k, self.add_zero_attn)
            v = ops.with_more_keys(v, self.bias_v, self.add_zero_attn)
        p = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, mask, p, causal)
        return self.out_proj(ops.merged_heads(y))

    def _projected(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        cache: KVCache | EncoderDecoderCache | None,
        position: Tensor | None,
        layer: int,
    ) -> tuple[Tensor, Stored]:
        """The queries of each head, and the keys and values of this call and earlier ones."""
        weights, bias, heads = self._weights(), self.in_proj_bias, self.num_heads
        memory = cache._memory(layer) if isinstance(cache, EncoderDecoderCache) else None
        if memory is not None:
            return ops.query_projection(query, weights[0], bias, heads), memory
        q, k, v = ops.in_projection(
            query,
            None if key is query else key,
            None if value is query else value,
            weights,
            bias,
            heads,
        )
        if isinstance(cache, KVCache):
            return q, cache._store(k, v, layer, position)
        if cache is not None:
            cache.update(k, v, layer, position, is_cross_attention=True)
        return q, Stored(k, v)

    def _check_shapes(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        shapes = query.shape, key.shape, value.shape
        sizes = self.embed_dim, self.kdim, self.vdim
        if (
            query.ndim not in (2, 3)
            or query.shape[:-2] != key.shape[:-2]
            or key.shape[:-1] != value.shape[:-1]
            or any(shape[-1] != size for shape, size in zip(shapes, sizes, strict=True))
        ):
            q, k, v = sizes
            raise ValueError(
                f"MultiHeadAttention: query (N, L, {q}), key (N, S, {k}) and value (N, S, {v}) are "
                f"needed, or all without N; got {shapes[0]}, {shapes[1]} and {shapes[2]}."
            )

    def extra_repr(self) -> str:
        return (
            f"{self.embed_dim}, {self.num_heads}, dropout={self.dropout}, "
            f"bias={self.in_proj_bias is not None}, add_bias_kv={self.bias_k is not None}, "
            f"add_zero_attn={self.add_zero_attn}, kdim={self.kdim}, vdim={self.vdim}"
        )
