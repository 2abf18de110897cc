"""The character model in PyTorch, with a cache of keys and values too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

import lucid.nn.functional as F
from lucid import Tensor


def torch_writer(
    state: Mapping[str, Tensor], heads: int, context: int
) -> Callable[[np.ndarray, int], np.ndarray]:
    """What continues a text by the most likely characters, from the state of a trained model."""
    values = {name: torch.tensor(value.numpy()) for name, value in state.items()}
    size = values["characters.weight"].shape[1]
    positions = torch.tensor(F.sinusoidal_pos_embedding(context, size).numpy())
    layers = 1 + max(int(name.split(".")[2]) for name in values if ".layers." in name)

    def part(name: str) -> tuple[Any, Any]:
        return values[f"{name}weight"], values[f"{name}bias"]

    def step(ids: Any, start: int, cache: Any) -> Any:
        end = start + len(ids)
        x = values["characters.weight"][ids] + positions[start:end]
        for i in range(layers):
            name = f"blocks.layers.{i}"
            y = layer_norm(x, (size,), *part(f"{name}.norm1."))
            y = linear(y, *part(f"{name}.self_attn.in_proj_"))
            q, k, v = y.reshape(len(ids), 3, heads, -1).permute(1, 2, 0, 3)
            cache[i, 0, :, start:end], cache[i, 1, :, start:end] = k, v
            k, v = cache[i, :, :, :end]
            y = scaled_dot_product_attention(q, k, v, is_causal=len(ids) > 1)
            y = y.permute(1, 0, 2).reshape(-1, size)
            x = x + linear(y, *part(f"{name}.self_attn.out_proj."))
            y = layer_norm(x, (size,), *part(f"{name}.norm2."))
            y = linear(gelu(linear(y, *part(f"{name}.linear1."))), *part(f"{name}.linear2."))
            x = x + y
        return linear(layer_norm(x[-1], (size,), *part("blocks.norm.")), *part("logits."))

    @torch.inference_mode()
    def write(beginning: np.ndarray, count: int) -> np.ndarray:
        cache = torch.zeros(layers, 2, heads, context, size // heads)
        ids, start, written = torch.tensor(beginning), 0, []
        for _ in range(count):
            logits = step(ids, start, cache)
            start += len(ids)
            ids = logits.argmax(-1, keepdim=True)
            written.append(ids)
        return torch.cat(written).numpy()

    return write
