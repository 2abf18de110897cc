"""How many floating-point operations a Tensor took, by the graph behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from lucid._core.mode import state
from lucid._core.op import Op
from lucid._core.tape import Node, reachable
from lucid._core.variable import Variable


@contextlib.contextmanager
def count_flops() -> Iterator[None]:
    """What lucid 2 needs around a forward pass whose `Tensor.flops` are read later.

    Here every recorded Tensor knows them; the block only lets `flops_enabled` say so.

    >>> with lucid.count_flops():
    ...     y = nn.Linear(16, 8)(lucid.ones(4, 16))
    >>> y.flops >= 2 * 4 * 16 * 8
    True
    """
    before, state.counts_flops = state.counts_flops, True
    try:
        yield
    finally:
        state.counts_flops = before


def flops_enabled() -> bool:
    """Whether the code runs inside `count_flops`.

    >>> lucid.flops_enabled()
    False
    """
    return state.counts_flops


def flops_of(tensor: Variable) -> int:
    """The operations of all nodes behind a Tensor, each once, as XLA counts them."""
    edge = tensor._edge()
    return 0 if edge is None else sum(map(_flops_of_node, reachable([edge])))


def _flops_of_node(node: Node) -> int:
    arrays = node.kinds if node.arrays is None else node.arrays
    return int(cost_of(node.op, arrays)[0])


def cost_of(op: Op, operands: Sequence[Any]) -> tuple[float, float]:
    """The floating-point operations and the bytes accessed of an operation, as XLA counts them."""
    analysis: Any = jax.jit(op.fn).lower(*operands).cost_analysis() or {}
    return analysis.get("flops", 0.0), analysis.get("bytes accessed", 0.0)
