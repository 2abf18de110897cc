"""Recurrent layers, one direction of one layer at a time, and their cells.

A layer is one scan over the steps. What does not depend on the step before is taken out of it: the
product of all inputs with their weight comes first, and the gradients of the weights are products
over all steps that come last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.precision import check_one_dtype, wide

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


class _Weights(NamedTuple):
    """The weights of one direction of one layer."""

    ih: Operand
    hh: Operand
    bias_ih: Operand | None = None
    bias_hh: Operand | None = None
    hr: Operand | None = None


class _Cell(NamedTuple):
    """What tells one kind of recurrence from another.

    A step goes from the state, the hidden vector h and what else is remembered, to the next one:
    `gates = pushes + h @ weight.T`, of which `rule` makes the output and the memory; the output,
    or its product with the projection, is the next h.
    """

    name: str
    # Elementwise: (*parts of the gates, *given, *state[own:]) -> (output, *memory).
    rule: Callable[..., tuple[Array, ...]]
    gates: int  # into how many parts the gates are split
    own: int  # where the part of the state begins that `rule` reads


def _tanh(a: Array) -> tuple[Array, ...]:
    return (jnp.tanh(a),)


def _relu(a: Array) -> tuple[Array, ...]:
    return (jax.nn.relu(a),)


def _lstm(i: Array, f: Array, g: Array, o: Array, c: Array) -> tuple[Array, ...]:
    # Gers et al., "Learning to forget", 2000, without peepholes.
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _gru(r: Array, z: Array, n: Array, pushed: Array, h: Array) -> tuple[Array, ...]:
    # Cho et al., arXiv:1406.1078, with the reset gate after the product, as in cuDNN and PyTorch.
    z = jax.nn.sigmoid(z)
    return ((1 - z) * jnp.tanh(pushed + jax.nn.sigmoid(r) * n) + z * h,)


_RNN = {"tanh": _Cell("rnn", _tanh, 1, 1), "relu": _Cell("rnn", _relu, 1, 1)}
_LSTM = _Cell("lstm", _lstm, 4, 1)
_GRU = _Cell("gru", _gru, 3, 0)


@op
def rnn(
    input_: Operand,
    hidden: Operand | None,
    weight_ih: Operand,
    weight_hh: Operand,
    bias_ih: Operand | None = None,
    bias_hh: Operand | None = None,
    lengths: Operand | None = None,
    *,
    nonlinearity: Literal["tanh", "relu"] = "tanh",
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu, from step to step; see `lstm`.

    Shape: input_ (T, N, I), hidden (N, H) -> outputs (T, N, H), hidden (N, H)
    """
    weights = _Weights(weight_ih, weight_hh, bias_ih, bias_hh)
    return _layer(_RNN[nonlinearity], input_, (hidden,), weights, lengths, reverse)


@op
def lstm(
    input_: Operand,
    hidden: Operand | None,
    memory: Operand | None,
    weight_ih: Operand,
    weight_hh: Operand,
    bias_ih: Operand | None = None,
    bias_hh: Operand | None = None,
    weight_hr: Operand | None = None,
    lengths: Operand | None = None,
    *,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Long short-term memory, Hochreiter & Schmidhuber, 1997, from step to step.

    Shape: input_ (T, N, I), hidden (N, R), memory (N, H), weight_ih (4 * H, I),
        weight_hh (4 * H, R), biases (4 * H,), weight_hr (R, H)
        -> outputs (T, N, R), hidden (N, R), memory (N, H); R = H without weight_hr

    Args:
        hidden: the state before the first step; None for zeros. Also `memory`.
        weight_hr: what projects the outputs; Sak et al., arXiv:1402.1128.
        lengths: (N,), how many steps each sequence has. Those after them change no state, and
            their outputs are 0.
        reverse: whether the last step comes first.
    """
    weights = _Weights(weight_ih, weight_hh, bias_ih, bias_hh, weight_hr)
    return _layer(_LSTM, input_, (hidden, memory), weights, lengths, reverse)


@op
def gru(
    input_: Operand,
    hidden: Operand | None,
    weight_ih: Operand,
    weight_hh: Operand,
    bias_ih: Operand | None = None,
    bias_hh: Operand | None = None,
    lengths: Operand | None = None,
    *,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Gated recurrent units, Cho et al., arXiv:1406.1078, from step to step; see `lstm`.

    Shape: input_ (T, N, I), hidden (N, H) -> outputs (T, N, H), hidden (N, H)
    """
    weights = _Weights(weight_ih, weight_hh, bias_ih, bias_hh)
    return _layer(_GRU, input_, (hidden,), weights, lengths, reverse)


@op
def rnn_cell(
    input_: Operand,
    hidden: Operand | None,
    weight_ih: Operand,
    weight_hh: Operand,
    bias_ih: Operand | None = None,
    bias_hh: Operand | None = None,
    *,
    nonlinearity: Literal["tanh", "relu"] = "tanh",
) -> Tensor:
    """One step of `rnn`: (N, I), (N, H) -> (N, H)."""
    weights = _Weights(weight_ih, weight_hh, bias_ih, bias_hh)
    return _step(_RNN[nonlinearity], input_, (hidden,), weights)[0]


@op
def lstm_cell(
    input_: Operand,
    hidden: Operand | None,
    memory: Operand | None,
    weight_ih: Operand,
    weight_hh: Operand,
    bias_ih: Operand | None = None,
    bias_hh: Operand | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of `lstm`: (N, I), (N, H), (N, H) -> (N, H), (N, H)."""
    weights = _Weights(weight_ih, weight_hh, bias_ih, bias_hh)
    return _step(_LSTM, input_, (hidden, memory), weights)


@op
def gru_cell(
    input_: Operand,
    hidden: Operand | None,
    weight_ih: Operand,
    weight_hh: Operand,
    bias_ih: Operand | None = None,
    bias_hh: Operand | None = None,
) -> Tensor:
    """One step of `gru`: (N, I), (N, H) -> (N, H)."""
    weights = _Weights(weight_ih, weight_hh, bias_ih, bias_hh)
    return _step(_GRU, input_, (hidden,), weights)[0]


@op
def filled(sequences: Operand, lengths: Operand, value: Operand) -> Tensor:
    """`value` after the end of each sequence: (T, N, *), lengths (N,) -> (T, N, *)."""
    x = jnp.asarray(sequences)
    return jnp.where(_valid(x, lengths), x, jnp.asarray(value).astype(x.dtype))


# --- From operands to the scan and back -------------------------------------------------------


class _Ready(NamedTuple):
    """What the steps need, in the precision to compute in."""

    pushes: Array  # (*, N, gates * H): what input and biases add to the gates
    given: tuple[Array, ...]  # (*, N, H) each: what goes to the rule beside the gates
    weight: Array
    projection: Array | None
    state: tuple[Array, ...]


def _layer(
    cell: _Cell,
    input_: Operand,
    state: Sequence[Operand | None],
    weights: _Weights,
    lengths: Operand | None,
    reverse: bool,
) -> tuple[Array, ...]:
    valid = None
    if lengths is not None:
        valid = _valid(input_, lengths)
        input_ = jnp.where(valid, input_, 0)  # for what stands there may be infinite
    batch = jnp.shape(input_)[1:-1]
    ready = _prepared(cell, input_, state, batch, weights)
    last, (hidden, *_), _ = _run(cell, reverse, *ready, valid)
    if valid is not None:
        hidden = jnp.where(valid, hidden, 0)
    return _rounded((hidden, *last), input_)


def _step(
    cell: _Cell, input_: Operand, state: Sequence[Operand | None], weights: _Weights
) -> tuple[Array, ...]:
    batch = jnp.shape(input_)[:-1]
    following, _ = _advance(cell, *_prepared(cell, input_, state, batch, weights))
    return _rounded(following, input_)


def _prepared(
    cell: _Cell,
    input_: Operand,
    state: Sequence[Operand | None],
    batch: tuple[int, ...],
    weights: _Weights,
) -> _Ready:
    check_one_dtype(cell.name, input_, *weights)
    weight, pushes = wide(weights.hh), wide(input_) @ wide(weights.ih).T
    size = weight.shape[0] // cell.gates
    if weights.bias_ih is not None:
        pushes = pushes + wide(weights.bias_ih)
    given: tuple[Array, ...] = ()
    if cell is _GRU:  # its reset gate acts on what the hidden vector adds, and on that alone
        pushes, pushed = jnp.split(pushes, [2 * size], -1)
        pushes, given = jnp.concatenate([pushes, jnp.zeros_like(pushed)], -1), (pushed,)
    if weights.bias_hh is not None:
        pushes = pushes + wide(weights.bias_hh)
    # The hidden vector is as long as a row of the weight that it meets.
    shapes = [(*batch, n) for n in (weight.shape[1], size)]
    start = tuple(
        (jnp.zeros(shape) if s is None else jnp.asarray(s)).astype(pushes.dtype)
        for s, shape in zip(state, shapes, strict=False)
    )
    projection = None if weights.hr is None else wide(weights.hr)
    return _Ready(pushes, given, weight, projection, start)


def _rounded(results: Sequence[Array], input_: Operand) -> tuple[Array, ...]:
    """The results in the dtype of the operands."""
    dtype = jnp.result_type(input_)
    return tuple(y.astype(dtype) for y in results)


def _valid(sequences: Operand, lengths: Operand) -> Array:
    """(T, N, ...): which steps belong to their sequence."""
    steps, _, *rest = jnp.shape(sequences)
    valid = jnp.arange(steps)[:, None] < jnp.asarray(lengths)
    return valid.reshape(*valid.shape, *(1 for _ in rest))


# --- The scan ---------------------------------------------------------------------------------


def _advance(
    cell: _Cell,
    pushes: Array,
    given: tuple[Array, ...],
    weight: Array,
    projection: Array | None,
    state: tuple[Array, ...],
) -> tuple[tuple[Array, ...], Array]:
    """The state after one step, and the gates."""
    gates = pushes + state[0] @ weight.T
    output, *memory = cell.rule(*_parts(cell, gates), *given, *state[cell.own :])
    return (output if projection is None else output @ projection.T, *memory), gates


def _parts(cell: _Cell, gates: Array) -> list[Array]:
    return jnp.split(gates, cell.gates, -1)


def _kept(valid: Array | None, new: Sequence[Array], old: Sequence[Array]) -> tuple[Array, ...]:
    """The new state of the sequences that have this step."""
    if valid is None:
        return tuple(new)
    return tuple(jnp.where(valid, a, b) for a, b in zip(new, old, strict=True))


def _scanned(
    cell: _Cell,
    reverse: bool,
    pushes: Array,
    given: tuple[Array, ...],
    weight: Array,
    projection: Array | None,
    state: tuple[Array, ...],
    valid: Array | None,
) -> tuple[tuple[Array, ...], tuple[Array, ...], Array]:
    """The last state, the state after each step, and the gates of each step."""

    def step(state: tuple[Array, ...], at: Any) -> tuple[tuple[Array, ...], Any]:
        pushes, given, valid = at
        new, gates = _advance(cell, pushes, given, weight, projection, state)
        new = _kept(valid, new, state)
        return new, (new, gates)

    last, (states, gates) = lax.scan(step, state, (pushes, given, valid), reverse=reverse)
    return last, states, gates


def _scanned_jvp(cell: _Cell, reverse: bool, primals: Any, tangents: Any) -> Any:
    """A scan of linear maps, whose coefficients for all steps are computed before it.

    JAX's own derivative of the scan would add to the gradient of the weight at each step, by a
    product that is too thin to be fast. Here what a change of the weight adds to the gates is one
    product for all steps, and so is its transpose, the gradient.
    """
    _, given, weight, projection, state, valid = primals
    d_pushes, d_given, d_weight, d_projection, d_state, _ = tangents
    last, states, gates = _run(cell, reverse, *primals)
    before = tuple(_shifted(a, b, reverse) for a, b in zip(state, states, strict=True))
    inputs = (*_parts(cell, gates), *given, *before[cell.own :])
    slopes = [_slopes(cell, k, inputs) for k in range(len(state))]
    d_pushes = d_pushes + before[0] @ d_weight.T
    d_projected = None if projection is None else cell.rule(*inputs)[0] @ d_projection.T

    def step(d_state: tuple[Array, ...], at: Any) -> tuple[tuple[Array, ...], Any]:
        d_pushes, d_given, d_projected, slopes, valid = at
        d_gates = d_pushes + d_state[0] @ weight.T
        d_new = []
        for of_gates, *of_others in slopes:
            d_output = jnp.sum(of_gates * d_gates.reshape(of_gates.shape), -2)
            for slope, d in zip(of_others, (*d_given, *d_state[cell.own :]), strict=True):
                d_output += slope * d
            d_new.append(d_output)
        if projection is not None:
            d_new[0] = d_new[0] @ projection.T + d_projected
        d_kept = _kept(valid, d_new, d_state)
        return d_kept, (d_kept, d_gates)

    steps = (d_pushes, d_given, d_projected, slopes, valid)
    d_last, (d_states, d_gates) = lax.scan(step, d_state, steps, reverse=reverse)
    return (last, states, gates), (d_last, d_states, d_gates)


# JAX before 0.10 transposes only scans that it derived itself, so there the gradient is its own.
_run = _scanned
if jax.__version_info__ >= (0, 10):
    _run = jax.custom_jvp(_scanned, nondiff_argnums=(0, 1))
    _run.defjvp(_scanned_jvp)


def _shifted(first: Array, after: Array, reverse: bool) -> Array:
    """The state before each step, from the first one and those after each step."""
    if reverse:
        return jnp.concatenate([after, first[None]])[1:]
    return jnp.concatenate([first[None], after])[:-1]


def _slopes(cell: _Cell, k: int, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
    """The derivatives of result `k` of the rule: (..., gates, H) in the gates, then in the others.

    The rule is elementwise, so that they are the gradient of the sum.
    """
    total = jax.grad(lambda inputs: jnp.sum(cell.rule(*inputs)[k]))
    found = total(inputs)
    return (jnp.stack(found[: cell.gates], -2), *found[cell.gates :])
