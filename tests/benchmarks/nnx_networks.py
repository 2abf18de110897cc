"""Networks and their training steps in Flax NNX; pictures have their channels last there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx


class Unit(nnx.Module):
    """A convolution and its norm."""

    def __init__(self, a: int, b: int, kernel: int, stride: int, rngs: nnx.Rngs) -> None:
        size, strides, padding = (kernel, kernel), (stride, stride), kernel // 2
        self.conv = nnx.Conv(
            a, b, size, strides=strides, padding=padding, use_bias=False, rngs=rngs
        )
        self.norm = nnx.BatchNorm(b, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.norm(self.conv(x))


class Bottleneck(nnx.Module):
    def __init__(self, channels: int, width: int, stride: int, rngs: nnx.Rngs) -> None:
        out = 4 * width
        self.first = Unit(channels, width, 1, 1, rngs)
        self.second = Unit(width, width, 3, stride, rngs)
        self.third = Unit(width, out, 1, 1, rngs)
        changes = stride != 1 or channels != out
        self.downsample = Unit(channels, out, 1, stride, rngs) if changes else None

    def __call__(self, x: Any) -> Any:
        y = self.third(nnx.relu(self.second(nnx.relu(self.first(x)))))
        return nnx.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, classes: int = 1000) -> None:
        self.stem = Unit(3, 64, 7, 2, rngs)
        blocks = []
        channels = 64
        for width, count, stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
            for i in range(count):
                blocks.append(Bottleneck(channels, width, stride if i == 0 else 1, rngs))
                channels = 4 * width
        self.blocks = nnx.List(blocks)
        self.head = nnx.Linear(channels, classes, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        y = nnx.relu(self.stem(x))
        y = nnx.max_pool(y, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for block in self.blocks:
            y = block(y)
        return self.head(y.mean((1, 2)))


def resnet50_step(batch: int, size: int) -> Callable[[], float]:
    """A jitted step of SGD with momentum on one batch of random pictures."""
    model = ResNet50(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1, momentum=0.9), wrt=nnx.Param)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((batch, size, size, 3)), "float32")
    y = jnp.arange(batch)

    @nnx.jit
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        def loss_of(model: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

        loss, grads = nnx.value_and_grad(loss_of)(model)
        optimizer.update(model, grads)
        return loss

    return lambda: step(model, optimizer, x, y).item()


class EncoderLayer(nnx.Module):
    def __init__(self, size: int, rngs: nnx.Rngs) -> None:
        self.attention = nnx.MultiHeadAttention(8, size, decode=False, rngs=rngs)
        self.up = nnx.Linear(size, 4 * size, rngs=rngs)
        self.down = nnx.Linear(4 * size, size, rngs=rngs)
        self.norm1 = nnx.LayerNorm(size, rngs=rngs)
        self.norm2 = nnx.LayerNorm(size, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.down(nnx.relu(self.up(x))))


def transformer_step(batch: int, length: int, size: int = 256) -> Callable[[], float]:
    """`networks.transformer`, and a jitted step as in training.py."""
    rngs = nnx.Rngs(0)
    model = nnx.Sequential(
        nnx.Linear(64, size, rngs=rngs),
        *(EncoderLayer(size, rngs) for _ in range(6)),
        nnx.Linear(size, 64, rngs=rngs),
    )
    optimizer = nnx.Optimizer(model, optax.sgd(1e-3, momentum=0.9), wrt=nnx.Param)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((batch, length, 64)), "float32")

    @nnx.jit
    def step(model: Any, optimizer: Any, x: Any) -> Any:
        loss, grads = nnx.value_and_grad(lambda model: (model(x) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    return lambda: step(model, optimizer, x).item()
