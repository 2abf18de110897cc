"""The cells of recurrent layers, and what layers and cells check alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from lucid._core.arguments import count
from lucid._core.tensor import Tensor
from lucid.nn import init
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter
from lucid.ops import recurrent as ops

__all__ = [
    "GRUCell",
    "LSTMCell",
    "RNNCell",
]

Pair: TypeAlias = tuple[Tensor, Tensor]
Nonlinearity: TypeAlias = Literal["tanh", "relu"]


class _Cell(Module):
    """What the cells share."""

    gates: ClassVar[int]
    parts: ClassVar[int] = 1  # of a state

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        name = type(self).__name__
        self.input_size = count(name, "input_size", input_size)
        self.hidden_size = count(name, "hidden_size", hidden_size)
        self.bias = bias
        rows = self.gates * hidden_size
        self.weight_ih = Parameter(np.zeros((rows, input_size)))
        self.weight_hh = Parameter(np.zeros((rows, hidden_size)))
        self.bias_ih = Parameter(np.zeros(rows)) if bias else None
        self.bias_hh = Parameter(np.zeros(rows)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and biases anew."""
        draw_weights(self, self.hidden_size)

    def _stepped(
        self, cell: Callable[..., Any], input_: Tensor, hx: Tensor | Pair | None, **options: Any
    ) -> Any:
        """What `cell` makes of the input and the state."""
        name = type(self).__name__
        check_input(name, input_, self.input_size, {2: "N", 1: ""})
        state = state_parts(name, hx, input_.shape[:-1], [self.hidden_size] * self.parts)
        return cell(
            input_, *state, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, **options
        )

    def extra_repr(self) -> str:
        bias = "" if self.bias else ", bias=False"
        return f"{self.input_size}, {self.hidden_size}{bias}"


class RNNCell(_Cell):
    """One step of `RNN`: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu.

    Shape: (N, input_size), (N, hidden_size) -> (N, hidden_size); or all without N

    Args:
        input_size: size of the input.
        hidden_size: size of the state.
        bias: whether there are biases.
        nonlinearity: "tanh" or "relu".

    Raises:
        ValueError: an argument is out of range, or the input or the state has a wrong shape.
        TypeError: a size is no integer.

    >>> nn.RNNCell(3, 4)(lucid.randn(2, 3)).shape
    (2, 4)
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: Nonlinearity = "tanh",
    ) -> None:
        check_nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias)
        self.nonlinearity = nonlinearity

    def forward(self, input_: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next hidden vectors."""
        return self._stepped(ops.rnn_cell, input_, hx, nonlinearity=self.nonlinearity)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonlinearity={self.nonlinearity!r}"


class LSTMCell(_Cell):
    """One step of `LSTM`; its state is the tuple (h, c).

    Shape: (N, input_size), twice (N, hidden_size) -> twice (N, hidden_size); or all without N

    Args:
        input_size: size of the input.
        hidden_size: size of the state.
        bias: whether there are biases.

    Raises:
        ValueError: a size is not positive, or the input or the state has a wrong shape.
        TypeError: a size is no integer, or the state is no tuple.

    >>> hidden, cell = nn.LSTMCell(3, 4)(lucid.randn(2, 3))
    >>> hidden.shape, cell.shape
    ((2, 4), (2, 4))
    """

    gates, parts = 4, 2

    def forward(self, input_: Tensor, hx: Pair | None = None) -> Pair:
        """The next hidden vectors and cell states."""
        return self._stepped(ops.lstm_cell, input_, hx)


class GRUCell(_Cell):
    """One step of `GRU`.

    Shape: (N, input_size), (N, hidden_size) -> (N, hidden_size); or all without N

    Args:
        input_size: size of the input.
        hidden_size: size of the state.
        bias: whether there are biases.

    Raises:
        ValueError: a size is not positive, or the input or the state has a wrong shape.
        TypeError: a size is no integer.

    >>> nn.GRUCell(3, 4)(lucid.randn(2, 3)).shape
    (2, 4)
    """

    gates = 3

    def forward(self, input_: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next hidden vectors."""
        return self._stepped(ops.gru_cell, input_, hx)


def draw_weights(module: Module, hidden_size: int) -> None:
    """Draw all Parameters from U(-sqrt(k), sqrt(k)), k = 1 / hidden_size."""
    bound = 1 / math.sqrt(hidden_size)
    for parameter in module.parameters():
        init.uniform(parameter, -bound, bound)


def check_nonlinearity(call: str, nonlinearity: str) -> None:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f'{call}: nonlinearity must be "tanh" or "relu", got {nonlinearity!r}.')


def check_input(call: str, x: Tensor, size: int, axes: dict[int, str]) -> None:
    """Refuse an input without `size` values in its last axis after some of the named `axes`."""
    if x.ndim not in axes or x.shape[-1] != size:
        allowed = " or ".join(f"({f'{names}, ' if names else ''}{size})" for names in axes.values())
        raise ValueError(f"{call}: an input of shape {allowed} is needed, got {x.shape}.")


def state_parts(
    call: str, hx: Any, leading: tuple[int, ...], sizes: Sequence[int]
) -> Sequence[Tensor | None]:
    """The parts of a state, all None for one that was not given."""
    if hx is None:
        return [None] * len(sizes)
    parts = [hx] if len(sizes) == 1 else hx
    if not (isinstance(parts, (tuple, list)) and all(isinstance(s, Tensor) for s in parts)):
        wanted = "a Tensor" if len(sizes) == 1 else "a tuple of two Tensors, h and c"
        raise TypeError(f"{call}: hx must be {wanted}, got {type(hx).__name__}.")
    shapes = [(*leading, size) for size in sizes]
    if [s.shape for s in parts] != shapes:
        raise ValueError(
            f"{call}: hx must be of shape {' and '.join(map(str, shapes))} for this input, got "
            f"{' and '.join(str(s.shape) for s in parts)}."
        )
    return parts
