"""Transformers: stacks of layers. Names and state are PyTorch's; the first axis is the batch."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np

from lucid._core.arguments import count
from lucid._core.tensor import Tensor
from lucid.nn import functional as F
from lucid.nn import init
from lucid.nn.cache import EncoderDecoderCache, KVCache
from lucid.nn.containers import ModuleList
from lucid.nn.module import Module
from lucid.nn.norm import LayerNorm
from lucid.nn.transformer_layers import TransformerDecoderLayer, TransformerEncoderLayer

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerEncoder",
]


class _Stack(Module):
    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        self.num_layers = count(type(self).__name__, "num_layers", num_layers)
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.norm = norm

    def extra_repr(self) -> str:
        return f"num_layers={self.num_layers}"


class TransformerEncoder(_Stack):
    """Copies of one layer, one after the other, and a normalisation.

    The copies start with the same values, as in PyTorch.

    Shape: (N, L, d_model) or (L, d_model), unchanged

    Args:
        encoder_layer: the layer; it is copied.
        num_layers: number of copies.
        norm: what is applied to the result.

    Raises:
        ValueError: `num_layers` is not positive.
        TypeError: it is no integer.

    >>> encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), num_layers=2)
    >>> encoder(lucid.randn(3, 5, 8)).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer | Module,
        num_layers: int,
        norm: Module | None = None,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        kv_cache: KVCache | None = None,
        use_cache: bool = False,
        cache_position: Tensor | None = None,
        cache_start_layer_idx: int = 0,
    ) -> Tensor:
        """The layers applied to `src`; in the cache they have numbers from the given one on."""
        x = src
        for i, layer in enumerate(self.layers):
            x = layer(
                x,
                src_mask=src_mask,
                src_key_padding_mask=src_key_padding_mask,
                is_causal=is_causal,
                kv_cache=kv_cache,
                use_cache=use_cache,
                cache_position=cache_position,
                cache_layer_idx=cache_start_layer_idx + i,
            )
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(_Stack):
    """Copies of one layer, one after the other, and a normalisation.

    The copies start with the same values, as in PyTorch.

    Shape: tgt (N, L, d_model), memory (N, S, d_model) -> (N, L, d_model); all also without N

    Args:
        decoder_layer: the layer; it is copied.
        num_layers: number of copies.
        norm: what is applied to the result.

    Raises:
        ValueError: `num_layers` is not positive.
        TypeError: it is no integer.

    >>> decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), num_layers=2)
    >>> decoder(lucid.randn(3, 5, 8), lucid.randn(3, 7, 8)).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        decoder_layer: TransformerDecoderLayer | Module,
        num_layers: int,
        norm: Module | None = None,
    ) -> None:
        super().__init__(decoder_layer, num_layers, norm)

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
        cache_start_layer_idx: int = 0,
    ) -> Tensor:
        """The layers applied to `tgt`; in the cache they have numbers from the given one on."""
        x = tgt
        for i, layer in enumerate(self.layers):
            x = layer(
                x,
                memory,
                tgt_mask=tgt_mask,
                mem_mask=mem_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                mem_key_padding_mask=mem_key_padding_mask,
                tgt_is_causal=tgt_is_causal,
                mem_is_causal=mem_is_causal,
                kv_cache=kv_cache,
                use_cache=use_cache,
                cache_position=cache_position,
                cache_layer_idx=cache_start_layer_idx + i,
            )
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """An encoder of a source, and a decoder of a target that attends to it; arXiv:1706.03762.

    Shape: src (N, S, d_model), tgt (N, L, d_model) -> (N, L, d_model); all also without N

    Args:
        d_model: size of a token.
        num_heads: number of heads; divides `d_model`.
        num_encoder_layers: number of layers of the encoder.
        num_decoder_layers: number of layers of the decoder.
        dim_feedforward: size of the hidden layers.
        dropout: probability of dropping weights, hidden units and results in training.
        activation: of the hidden layers.
        layer_norm_eps: added to the variances.
        norm_first: normalise what goes into a block, and not what comes out of it and around it.
        bias: whether linear maps and normalisations have biases.
        custom_encoder: takes the place of the encoder.
        custom_decoder: takes the place of the decoder.

    Raises:
        ValueError: sizes do not match, or `dropout` is out of range.
        TypeError: a size is no integer, or `activation` is no function.

    >>> model = nn.Transformer(8, 2, 1, 1, dim_feedforward=16)
    >>> mask = nn.Transformer.generate_square_subsequent_mask(5)
    >>> model(lucid.randn(3, 7, 8), lucid.randn(3, 5, 8), tgt_mask=mask).shape
    (3, 5, 8)
    """

    encoder: Module
    decoder: Module

    def __init__(
        self,
        d_model: int = 512,
        num_heads: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-05,
        norm_first: bool = False,
        bias: bool = True,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
    ) -> None:
        super().__init__()
        self.d_model, self.num_heads = d_model, num_heads
        sizes = d_model, num_heads, dim_feedforward, dropout
        options = activation, layer_norm_eps, norm_first, bias
        if custom_encoder is None:
            custom_encoder = TransformerEncoder(
                TransformerEncoderLayer(*sizes, *options),
                num_encoder_layers,
                LayerNorm(d_model, layer_norm_eps, bias=bias),
            )
        if custom_decoder is None:
            custom_decoder = TransformerDecoder(
                TransformerDecoderLayer(*sizes, *options),
                num_decoder_layers,
                LayerNorm(d_model, layer_norm_eps, bias=bias),
            )
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all matrices anew from Glorot's distribution, as PyTorch does."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        mem_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        mem_key_padding_mask: Tensor | None = None,
        kv_cache: KVCache | EncoderDecoderCache | None = None,
        use_cache: bool = False,
        cache_position: Tensor | None = None,
        cache_start_layer_idx: int = 0,
        encoder_kv_cache: KVCache | None = None,
        use_encoder_cache: bool = False,
        encoder_cache_position: Tensor | None = None,
        encoder_cache_start_layer_idx: int = 0,
    ) -> Tensor:
        """What the decoder makes of `tgt` and of what the encoder makes of `src`.

        Masks and caches as in `TransformerEncoder` and `TransformerDecoder`. Whoever generates a
        target token by token calls `encoder` once, and `decoder` for each.
        """
        memory = self.encoder(
            src,
            src_mask=src_mask,
            src_key_padding_mask=src_key_padding_mask,
            kv_cache=encoder_kv_cache,
            use_cache=use_encoder_cache,
            cache_position=encoder_cache_position,
            cache_start_layer_idx=encoder_cache_start_layer_idx,
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            mem_mask=mem_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            mem_key_padding_mask=mem_key_padding_mask,
            kv_cache=kv_cache,
            use_cache=use_cache,
            cache_position=cache_position,
            cache_start_layer_idx=cache_start_layer_idx,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int) -> Tensor:
        """A mask (sz, sz) for `src_mask` or `tgt_mask`: -inf where a key comes later, else 0."""
        return Tensor(np.triu(np.full((sz, sz), -np.inf, np.float32), 1))

    def extra_repr(self) -> str:
        return f"d_model={self.d_model}, num_heads={self.num_heads}"
