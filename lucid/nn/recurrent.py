"""Recurrent layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from lucid._core.arguments import count
from lucid._core.tensor import Tensor
from lucid.nn import functional as F
from lucid.nn._packed import PackedSequence
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter
from lucid.nn.recurrent_cells import (
    Nonlinearity,
    Pair,
    check_input,
    check_nonlinearity,
    draw_weights,
    state_parts,
)
from lucid.ops import recurrent as ops
from lucid.ops.shape import concatenate, squeeze, stack, swapaxes, unsqueeze

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "RNNBase",
]


class _Mode(NamedTuple):
    """A kind of recurrence."""

    layer: Callable[..., tuple[Tensor, ...]]
    gates: int
    options: dict[str, Any]


_MODES = {
    "RNN_TANH": _Mode(ops.rnn, 1, {"nonlinearity": "tanh"}),
    "RNN_RELU": _Mode(ops.rnn, 1, {"nonlinearity": "relu"}),
    "LSTM": _Mode(ops.lstm, 4, {}),
    "GRU": _Mode(ops.gru, 3, {}),
}


class RNNBase(Module):
    """What `RNN`, `LSTM` and `GRU` share; by its mode it is any of them.

    All weights and biases are drawn from U(-sqrt(k), sqrt(k)), k = 1 / hidden_size. Their names,
    shapes and order are PyTorch's: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, and
    with a projection `weight_hr_l0`; then those of the reverse direction, `weight_ih_l0_reverse`
    and so on; then those of the next layer. Each holds the parts of all gates, one below the
    other: i, f, g, o of an LSTM and r, z, n of a GRU.

    Shape: input (T, N, input_size), or (N, T, input_size) with `batch_first`, or
        (T, input_size); state (D * num_layers, N, hidden_size), or without N
        -> (T, N, D * hidden_size), likewise, and the last state, in the shape of the first;
        D = 2 if bidirectional, else 1. The hidden vectors, but not the cell states of an LSTM,
        are of proj_size instead of hidden_size if there is a projection.

    Args:
        mode: "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".
        input_size: size of the input at each step.
        hidden_size: size of the state.
        num_layers: number of layers; each but the first takes the outputs of the one before.
        bias: whether there are biases.
        batch_first: whether the batch is axis 0 of input and output; not of the states.
        dropout: probability with which elements of the outputs of each layer but the last are set
            to 0 in training.
        bidirectional: whether each layer goes through the steps in both directions; the outputs of
            the two stand side by side.
        proj_size: size of a projection of the hidden vectors, less than hidden_size; 0 for none.
            Only of an LSTM.

    Raises:
        ValueError: an argument is out of range, or the input or the state has a wrong shape.
        TypeError: a size is no integer, or the state of an LSTM is no tuple.

    >>> layer = nn.RNNBase("GRU", 3, 4)
    >>> output, hidden = layer(lucid.randn(5, 2, 3))
    >>> output.shape, hidden.shape
    ((5, 2, 4), (1, 2, 4))
    """

    def __init__(
        self,
        mode: Literal["RNN_TANH", "RNN_RELU", "LSTM", "GRU"],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if mode not in _MODES:
            raise ValueError(f"{name}: mode must be one of {', '.join(_MODES)}, got {mode!r}.")
        self.mode = mode
        self.input_size = count(name, "input_size", input_size)
        self.hidden_size = count(name, "hidden_size", hidden_size)
        self.num_layers = count(name, "num_layers", num_layers)
        self.bias = bias
        self.batch_first = batch_first
        if not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout must be from 0 to 1, got {dropout}.")
        self.dropout = dropout
        self.bidirectional = bidirectional
        if proj_size and (mode != "LSTM" or not 0 < proj_size < hidden_size):
            raise ValueError(
                f"{name}: proj_size must be 0, or for an LSTM from 1 to hidden_size - 1, got "
                f"{proj_size} for mode {mode} and hidden_size {hidden_size}."
            )
        self.proj_size = proj_size
        rows, out = _MODES[mode].gates * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            columns = (1 + bidirectional) * out if layer else input_size
            shapes: dict[str, tuple[int, ...]]
            shapes = {"weight_ih": (rows, columns), "weight_hh": (rows, out)}
            if bias:
                shapes.update(bias_ih=(rows,), bias_hh=(rows,))
            if proj_size:
                shapes.update(weight_hr=(proj_size, hidden_size))
            for suffix in self._suffixes(layer):
                for name, shape in shapes.items():
                    setattr(self, name + suffix, Parameter(np.zeros(shape)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew."""
        draw_weights(self, self.hidden_size)

    def forward(
        self, input_: Tensor | PackedSequence, hx: Tensor | Pair | None = None
    ) -> tuple[Any, Any]:
        """The outputs of the last layer at all steps, and the last state of each layer.

        Args:
            input_: the sequences; those of a PackedSequence give one.
            hx: the state before the first step, zeros by default; of an LSTM a tuple: the hidden
                vectors and the cell states.
        """
        packed: PackedSequence | None = None
        if isinstance(input_, PackedSequence):
            packed, x = input_, input_._padded
        else:
            x = input_
        batch_first = self.batch_first and packed is None
        name, batch = type(self).__name__, "N, T" if batch_first else "T, N"
        check_input(name, x, self.input_size, {3: batch, 2: "T"} if packed is None else {3: batch})
        single = x.ndim == 2
        vectors = (1 + self.bidirectional) * self.num_layers
        n = () if single else (x.shape[0 if batch_first else 1],)
        start = state_parts(name, hx, (vectors, *n), self._sizes())
        if single:
            x = unsqueeze(x, 1)
            start = [None if s is None else unsqueeze(s, 1) for s in start]
        elif batch_first:
            x = swapaxes(x, 0, 1)
        output, last = self._run(x, start, None if packed is None else packed._lengths)
        if single:
            output, last = squeeze(output, 1), [squeeze(s, 1) for s in last]
        elif batch_first:
            output = swapaxes(output, 0, 1)
        state = last[0] if len(last) == 1 else tuple(last)
        return output if packed is None else packed._with(output), state

    def _run(
        self, x: Tensor, start: Sequence[Tensor | None], lengths: Any
    ) -> tuple[Tensor, list[Tensor]]:
        """The outputs (T, N, O) of an input (T, N, I), and the last state in its parts."""
        mode = _MODES[self.mode]
        last: list[Sequence[Tensor]] = []
        for layer in range(self.num_layers):
            if layer:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for suffix in self._suffixes(layer):
                before = [None if s is None else s[len(last)] for s in start]
                weights = {name: getattr(self, name + suffix) for name in self._names()}
                reverse = suffix.endswith("reverse")
                output, *after = mode.layer(
                    x, *before, **weights, lengths=lengths, reverse=reverse, **mode.options
                )
                outputs.append(output)
                last.append(after)
            x = concatenate(outputs, -1) if self.bidirectional else outputs[0]
        return x, [stack(parts) for parts in zip(*last, strict=True)]

    def _suffixes(self, layer: int) -> list[str]:
        """What the names of a layer's weights end in, for each direction."""
        return [f"_l{layer}", f"_l{layer}_reverse"] if self.bidirectional else [f"_l{layer}"]

    def _names(self) -> list[str]:
        """What they begin with."""
        biases = ["bias_ih", "bias_hh"] if self.bias else []
        return ["weight_ih", "weight_hh", *biases, *(["weight_hr"] if self.proj_size else [])]

    def _sizes(self) -> list[int]:
        """The lengths of the vectors in the parts of a state."""
        hidden = self.proj_size or self.hidden_size
        return [hidden, self.hidden_size] if self.mode == "LSTM" else [hidden]

    def extra_repr(self) -> str:
        shown = {
            "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
            "bidirectional": False, "proj_size": 0,
        }  # fmt: skip
        changed = (f", {n}={getattr(self, n)}" for n, v in shown.items() if getattr(self, n) != v)
        return f"{self.input_size}, {self.hidden_size}{''.join(changed)}"


class RNN(RNNBase):
    """Elman's recurrence in layers: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu.

    Shape: (T, N, input_size), state (D * num_layers, N, hidden_size)
        -> (T, N, D * hidden_size), (D * num_layers, N, hidden_size); see `RNNBase`

    Args:
        nonlinearity: "tanh" or "relu".

    The other arguments are those of `RNNBase`.

    Raises:
        ValueError: as `RNNBase`; or another nonlinearity.
        TypeError: as `RNNBase`.

    >>> layer = nn.RNN(3, 4, num_layers=2, batch_first=True)
    >>> output, hidden = layer(lucid.randn(2, 5, 3))
    >>> output.shape, hidden.shape
    ((2, 5, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Nonlinearity = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        check_nonlinearity("RNN", nonlinearity)
        super().__init__(
            "RNN_TANH" if nonlinearity == "tanh" else "RNN_RELU",
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
        )  # fmt: skip
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonlinearity={self.nonlinearity!r}"


class LSTM(RNNBase):
    """Long short-term memory in layers, Hochreiter & Schmidhuber, 1997.

    i, f, o = sigmoid and g = tanh of W_ih x + b_ih + W_hh h + b_hh, each with its own part of the
    weights; c' = f * c + i * g; h' = o * tanh(c'), or its product with W_hr.

    Shape: (T, N, input_size), states (D * num_layers, N, hidden_size)
        -> (T, N, D * hidden_size), (states likewise); see `RNNBase`

    The arguments are those of `RNNBase`. The state is the tuple (h, c).

    >>> layer = nn.LSTM(3, 4, bidirectional=True)
    >>> output, (hidden, cell) = layer(lucid.randn(5, 2, 3))
    >>> output.shape, hidden.shape, cell.shape
    ((5, 2, 8), (2, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size,
        )  # fmt: skip


class GRU(RNNBase):
    """Gated recurrent units in layers, Cho et al., arXiv:1406.1078.

    r, z = sigmoid of W_ih x + b_ih + W_hh h + b_hh, n = tanh(W_ih x + b_ih + r * (W_hh h + b_hh)),
    each with its own part of the weights; h' = (1 - z) * n + z * h.

    Shape: (T, N, input_size), state (D * num_layers, N, hidden_size)
        -> (T, N, D * hidden_size), (D * num_layers, N, hidden_size); see `RNNBase`

    The arguments are those of `RNNBase`.

    >>> packed = nn.utils.rnn.pack_sequence([lucid.randn(5, 3), lucid.randn(2, 3)])
    >>> output, hidden = nn.GRU(3, 4)(packed)
    >>> output.data.shape, hidden.shape
    ((7, 4), (1, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )
