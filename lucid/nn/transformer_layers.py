"""The layers of Transformers. Names and state are PyTorch's; the first axis is the batch."""

from __future__ import annotations

from collections.abc import Callable

from lucid._core.arguments import count
from lucid._core.tensor import Tensor
from lucid.nn import functional as F
from lucid.nn.attention import MultiHeadAttention
from lucid.nn.cache import EncoderDecoderCache, KVCache
from lucid.nn.dropout import Dropout
from lucid.nn.linear import Linear
from lucid.nn.module import Module
from lucid.nn.norm import LayerNorm

__all__ = [
    "TransformerDecoderLayer",
    "TransformerEncoderLayer",
]


class _Layer(Module):
    """What both kinds of layers share: blocks, each with a way around it."""

    self_attn: MultiHeadAttention
    linear1: Linear
    dropout: Dropout
    linear2: Linear
    norm_first: bool

    def _make_feed_forward(
        self,
        size: int,
        hidden: int,
        dropout: float,
        activation: Callable[[Tensor], Tensor],
        bias: bool,
    ) -> None:
        if not callable(activation):
            raise TypeError(
                f"{type(self).__name__}: activation must be a function, such as F.gelu, got "
                f"{activation!r}."
            )
        self.linear1 = Linear(size, count(type(self).__name__, "dim_feedforward", hidden), bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(hidden, size, bias)
        self.activation = activation

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _around(
        self, x: Tensor, block: Callable[[Tensor], Tensor], dropout: Module, norm: Module
    ) -> Tensor:
        """`x` and what the block makes of it."""
        if self.norm_first:
            return x + dropout(block(norm(x)))
        return norm(x + dropout(block(x)))


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward network; Vaswani et al., arXiv:1706.03762, section 3.1.

    Shape: (N, L, d_model) or (L, d_model), unchanged

    Args:
        d_model: size of a token.
        num_heads: number of heads; divides `d_model`.
        dim_feedforward: size of the hidden layer.
        dropout: probability of dropping weights, hidden units and results in training.
        activation: of the hidden layer.
        layer_norm_eps: added to the variances.
        norm_first: normalise what goes into a block, and not what comes out of it and around it.
        bias: whether linear maps and normalisations have biases.

    Raises:
        ValueError: sizes do not match, or `dropout` is out of range.
        TypeError: a size is no integer, or `activation` is no function.

    >>> layer = nn.TransformerEncoderLayer(d_model=8, num_heads=2, dim_feedforward=16)
    >>> layer(lucid.randn(3, 5, 8), is_causal=True).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-05,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.self_attn = MultiHeadAttention(d_model, num_heads, dropout, bias)
        self._make_feed_forward(d_model, dim_feedforward, dropout, activation, bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        kv_cache: KVCache | None = None,
        use_cache: bool = False,
        cache_position: Tensor | None = None,
        cache_layer_idx: int | None = None,
    ) -> Tensor:
        """The layer applied to `src`; masks and cache as in `MultiHeadAttention`."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, src_key_padding_mask, src_mask, is_causal,
                kv_cache, use_cache, cache_position, cache_layer_idx,
            )  # fmt: skip

        x = self._around(src, attend, self.dropout1, self.norm1)
        return self._around(x, self._feed_forward, self.dropout2, self.norm2)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to a memory, and a feed-forward network; arXiv:1706.03762, 3.1.

    Shape: tgt (N, L, d_model), memory (N, S, d_model) -> (N, L, d_model); all also without N

    Args:
        d_model: size of a token.
        num_heads: number of heads; divides `d_model`.
        dim_feedforward: size of the hidden layer.
        dropout: probability of dropping weights, hidden units and results in training.
        activation: of the hidden layer.
        layer_norm_eps: added to the variances.
        norm_first: normalise what goes into a block, and not what comes out of it and around it.
        bias: whether linear maps and normalisations have biases.

    Raises:
        ValueError: sizes do not match, or `dropout` is out of range.
        TypeError: a size is no integer, or `activation` is no function.

    >>> layer = nn.TransformerDecoderLayer(d_model=8, num_heads=2, dim_feedforward=16)
    >>> layer(lucid.randn(3, 5, 8), lucid.randn(3, 7, 8), tgt_is_causal=True).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-05,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.self_attn = MultiHeadAttention(d_model, num_heads, dropout, bias)
        self.multihead_attn = MultiHeadAttention(d_model, num_heads, dropout, bias)
        self._make_feed_forward(d_model, dim_feedforward, dropout, activation, bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        mem_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        mem_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        mem_is_causal: bool = False,
        kv_cache: KVCache | EncoderDecoderCache | None = None,
        use_cache: bool = False,
        cache_position: Tensor | None = None,
        cache_layer_idx: int | None = None,
    ) -> Tensor:
        """The layer applied to `tgt`; masks and cache as in `MultiHeadAttention`.

        Args:
            kv_cache: a `KVCache` serves self-attention alone. With an `EncoderDecoderCache` the
                keys and values of the memory are computed in the first call alone, too.
        """
        own, stored = kv_cache, None
        if isinstance(kv_cache, EncoderDecoderCache):
            own, stored = kv_cache.self_attention_cache, kv_cache

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, tgt_key_padding_mask, tgt_mask, tgt_is_causal,
                own, use_cache, cache_position, cache_layer_idx,
            )  # fmt: skip

        def attend_to_memory(x: Tensor) -> Tensor:
            return self.multihead_attn(
                x, memory, memory, mem_key_padding_mask, mem_mask, mem_is_causal,
                stored, use_cache and stored is not None, None, cache_layer_idx,
            )  # fmt: skip

        x = self._around(tgt, attend, self.dropout1, self.norm1)
        x = self._around(x, attend_to_memory, self.dropout2, self.norm2)
        return self._around(x, self._feed_forward, self.dropout3, self.norm3)
