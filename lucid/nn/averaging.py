"""Averages of a Module over the steps of its training."""

from __future__ import annotations

import copy
from typing import Any

import jax.numpy as jnp

from lucid._core.gate import apply
from lucid._core.mode import no_grad
from lucid._core.typing import Array
from lucid.nn.module import Module
from lucid.nn.parameter import Buffer


class EMA(Module):
    """A copy of a Module whose Parameters are running averages of the Module's.

    average = decay * average + (1 - decay) * parameter; the first update copies. Buffers, such as
    running statistics, are always copied. The copy learns nothing itself. Calling the EMA calls
    the copy; `eval()` it before sampling.

    Args:
        module: what to average; it stays as it is.
        decay: weight of the past, from 0 to 1.

    Raises:
        ValueError: decay is out of range.

    >>> model = nn.Linear(1, 1)
    >>> ema = EMA(model, decay=0.5)
    >>> for value in (1.0, 3.0):
    ...     nn.init.constant(model.weight, value)
    ...     ema.update(model)
    >>> ema.module.weight.tolist()
    [[2.0]]
    """

    def __init__(self, module: Module, decay: float = 0.999) -> None:
        super().__init__()
        if not 0 <= decay <= 1:
            raise ValueError(f"EMA: decay must be from 0 to 1, got {decay}.")
        self.decay = decay
        self.num_updates = Buffer(0)
        self.module = copy.deepcopy(module).requires_grad_(False)

    def update(self, module: Module) -> None:
        """Take a step of `module` into the average; inside `lucid.jit` too.

        Raises:
            ValueError: the Parameters or Buffers of `module` are not those of the copy.
        """
        own, new = dict(self.module.named_parameters()), dict(module.named_parameters())
        own_buffers, new_buffers = dict(self.module.named_buffers()), dict(module.named_buffers())
        for ours, theirs in ((own, new), (own_buffers, new_buffers)):
            shapes = [{n: t.shape for n, t in tensors.items()} for tensors in (ours, theirs)]
            if shapes[0] != shapes[1]:
                different = sorted({n for n, _ in shapes[0].items() ^ shapes[1].items()})
                raise ValueError(f"EMA: the Module differs from its copy in {different}.")
        with no_grad():
            count, *averages = apply(
                _averaged, self.num_updates, self.decay, *own.values(), *new.values()
            )
        self.num_updates.data = count
        for tensor, average in zip(own.values(), averages, strict=True):
            tensor.data = average
        for name, buffer in own_buffers.items():
            buffer.data = new_buffers[name]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The copy's `forward`."""
        return self.module(*args, **kwargs)

    def extra_repr(self) -> str:
        return f"decay={self.decay}"


def _averaged(count: Array, decay: Array, *values: Array) -> tuple[Array, ...]:
    """The count and the averages after one more update; first come the old values, then the new."""
    n = len(values) // 2
    share = jnp.where(count == 0, 1.0, 1.0 - decay)
    averages = [
        (old + share * (new - old)).astype(old.dtype)
        for old, new in zip(values[:n], values[n:], strict=True)
    ]
    return count + 1, *averages
