"""Recurrent layers and their cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np

from lucid._core.arguments import count
from lucid._core.tensor import Tensor
from lucid.nn import functional as F
from lucid.nn import init
from lucid.nn._packed import PackedSequence
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter
from lucid.ops import recurrent as ops
from lucid.ops.shape import concatenate, squeeze, stack, swapaxes, unsqueeze

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "RNNBase",
    "RNNCell",
]

Pair: TypeAlias = tuple[Tensor, Tensor]
Nonlinearity: TypeAlias = Literal["tanh", "relu"]


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
        _draw(self, self.hidden_size)

    def forward(
        self, input_: Tensor | PackedSequence, hx: Tensor | Pair | None = None
    ) -> tuple[Any, Any]:
        """The outputs of the last layer at all steps, and the last state of each layer.

        Args:
            input_: the sequences; those of a PackedSequence give one.
            hx: the state before the first step, zeros by default; of an LSTM a tuple: the hidden
                vectors and the cell states.
        """
        name, lengths = type(self).__name__, None
        if isinstance(input_, PackedSequence):
            x, lengths = input_._padded, input_._lengths
            _check_input(name, x, self.input_size, {3: "T, N"})
        else:
            x = input_
            batch = "N, T" if self.batch_first else "T, N"
            _check_input(name, x, self.input_size, {3: batch, 2: "T"})
        single = x.ndim == 2
        if single:
            x = unsqueeze(x, 1)
        elif self.batch_first and lengths is None:
            x = swapaxes(x, 0, 1)
        vectors = (1 + self.bidirectional) * self.num_layers
        leading = (vectors,) if single else (vectors, x.shape[1])
        start = _state(name, hx, leading, self._sizes())
        if single:
            start = [None if s is None else unsqueeze(s, 1) for s in start]
        output, last = self._run(x, start, lengths)
        if single:
            output, last = squeeze(output, 1), [squeeze(s, 1) for s in last]
        elif self.batch_first and lengths is None:
            output = swapaxes(output, 0, 1)
        state = last[0] if len(last) == 1 else tuple(last)
        if isinstance(input_, PackedSequence):
            return input_._with(output), state
        return output, state

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
        mode = _check_nonlinearity("RNN", nonlinearity)
        super().__init__(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )
        self.nonlinearity = nonlinearity


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
        _draw(self, self.hidden_size)

    def _stepped(
        self, cell: Callable[..., Any], input_: Tensor, hx: Tensor | Pair | None, **options: Any
    ) -> Any:
        """What `cell` makes of the input and the state."""
        name = type(self).__name__
        _check_input(name, input_, self.input_size, {2: "N", 1: ""})
        state = _state(name, hx, input_.shape[:-1], [self.hidden_size] * self.parts)
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
        _check_nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias)
        self.nonlinearity = nonlinearity

    def forward(self, input_: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next hidden vectors."""
        return self._stepped(ops.rnn_cell, input_, hx, nonlinearity=self.nonlinearity)


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


def _draw(module: Module, hidden_size: int) -> None:
    bound = 1 / math.sqrt(hidden_size)
    for parameter in module.parameters():
        init.uniform(parameter, -bound, bound)


def _check_nonlinearity(call: str, nonlinearity: str) -> Any:
    """The mode with this nonlinearity."""
    mode = f"RNN_{nonlinearity}".upper()
    if mode not in _MODES:
        raise ValueError(f'{call}: nonlinearity must be "tanh" or "relu", got {nonlinearity!r}.')
    return mode


def _check_input(call: str, x: Tensor, size: int, axes: dict[int, str]) -> None:
    """Refuse an input without `size` values in its last axis after some of the named `axes`."""
    if x.ndim not in axes or x.shape[-1] != size:
        allowed = " or ".join(f"({f'{names}, ' if names else ''}{size})" for names in axes.values())
        raise ValueError(f"{call}: an input of shape {allowed} is needed, got {x.shape}.")


def _state(
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
