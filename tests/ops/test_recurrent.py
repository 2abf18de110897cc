"""Recurrences against a loop over sequences and steps; what their derivatives cost."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lucid.ops import recurrent
from tests.helpers import check_op, spaced

T, N, D, H, R = 3, 2, 2, 3, 2
LENGTHS = np.array([2, 3])


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def rnn_step(x, h, w_ih, w_hh, b_ih, b_hh):
    return (np.tanh(w_ih @ x + b_ih + w_hh @ h + b_hh),)


def relu_step(x, h, w_ih, w_hh, b_ih, b_hh):
    return (np.maximum(w_ih @ x + b_ih + w_hh @ h + b_hh, 0),)


def lstm_step(x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr=None):
    i, f, g, o = np.split(w_ih @ x + b_ih + w_hh @ h + b_hh, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h if w_hr is None else w_hr @ h, c


def gru_step(x, h, w_ih, w_hh, b_ih, b_hh):
    (r, z, n), (r_h, z_h, n_h) = np.split(w_ih @ x + b_ih, 3), np.split(w_hh @ h + b_hh, 3)
    r, z = sigmoid(r + r_h), sigmoid(z + z_h)
    return ((1 - z) * np.tanh(n + r * n_h) + z * h,)


def loop(step, x, state, weights, lengths, reverse):
    """The definition: each sequence by itself, step by step."""
    outputs = np.zeros((*x.shape[:2], state[0].shape[1]))
    last = [np.array(part) for part in state]
    for n, length in enumerate(lengths):
        now = [part[n] for part in state]
        for t in reversed(range(length)) if reverse else range(length):
            now = step(x[t, n], *now, *weights)
            outputs[t, n] = now[0]
        for part, value in zip(last, now, strict=True):
            part[n] = value
    return (outputs, *last)


def operands(gates: int, states: int, out: int = H) -> list[np.ndarray]:
    """Input, state and weights; with a projection if `out` is not H."""
    shapes = [(T, N, D), (N, out), (N, H)][: 1 + states]
    shapes += [(gates * H, D), (gates * H, out), (gates * H,), (gates * H,)]
    if out != H:
        shapes.append((out, H))
    return [spaced(*shape, low=-1, high=1, seed=i) for i, shape in enumerate(shapes)]


CASES = {
    "rnn": (recurrent.rnn, rnn_step, operands(1, 1), {}),
    "relu": (recurrent.rnn, relu_step, operands(1, 1), {"nonlinearity": "relu"}),
    "lstm": (recurrent.lstm, lstm_step, operands(4, 2), {}),
    "projected lstm": (recurrent.lstm, lstm_step, operands(4, 2, R), {}),
    "gru": (recurrent.gru, gru_step, operands(3, 1), {}),
}
each = pytest.mark.parametrize("case", CASES)


@each
@pytest.mark.parametrize("reverse", [False, True])
def test_layers(case, reverse):
    fn, step, values, options = CASES[case]
    states = 2 if fn is recurrent.lstm else 1
    # In one direction with lengths, in the other without.
    lengths = LENGTHS if reverse else None

    def reference(x, *rest):
        ends = [T] * N if lengths is None else lengths
        return loop(step, x, rest[:states], rest[states:], ends, reverse)

    check_op(
        lambda *xs: fn(*xs, lengths=lengths, reverse=reverse, **options),
        reference,
        *values,
        rtol=1e-11,
    )


@pytest.mark.parametrize(
    ("cell", "step", "values"),
    [
        (recurrent.rnn_cell, rnn_step, operands(1, 1)),
        (recurrent.lstm_cell, lstm_step, operands(4, 2)),
        (recurrent.gru_cell, gru_step, operands(3, 1)),
    ],
)
def test_cells(cell, step, values):
    states = 2 if cell is recurrent.lstm_cell else 1

    def reference(x, *rest):
        of_each = [step(x[n], *(s[n] for s in rest[:states]), *rest[states:]) for n in range(N)]
        return tuple(np.stack(part) for part in zip(*of_each, strict=True))

    check_op(cell, reference, values[0][0], *values[1:], rtol=1e-11)


@each
def test_what_is_left_out_is_zero(case):
    fn, _, values, options = CASES[case]
    states = 2 if fn is recurrent.lstm else 1
    x, weight_ih, weight_hh, *projection = (values[i] for i in (0, states + 1, states + 2))
    projection = values[states + 5 :]
    biases = [np.zeros(len(weight_ih))] * 2
    start = [np.zeros_like(s) for s in values[1 : 1 + states]]
    given = fn.pure(x, *start, weight_ih, weight_hh, *biases, *projection, **options)
    nothing = [None] * states
    left_out = fn.pure(x, *nothing, weight_ih, weight_hh, None, None, *projection, **options)
    for a, b in zip(given, left_out, strict=True):
        np.testing.assert_array_equal(a, b)


# --- Derivatives by JAX's transformations -----------------------------------------------------


def plain_lstm(x, h, c, w_ih, w_hh, b_ih, b_hh):
    """A scan as one writes it by hand."""

    def step(state, x):
        h, c = state
        i, f, g, o = jnp.split(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    (h, c), outputs = jax.lax.scan(step, (h, c), x)
    return outputs, h, c


def test_forward_mode_and_vmap():
    values = tuple(operands(4, 2))
    along = tuple(spaced(*v.shape, seed=9 + i) for i, v in enumerate(values))

    def total(fn: Any) -> Any:
        return lambda *xs: sum(jnp.sum(jnp.sin(y)) for y in fn(*xs))

    def derivatives(fn: Any) -> list[Any]:
        def slope(f: Any) -> Any:
            return lambda *xs: jax.jvp(f, xs, along)[1]

        first = slope(total(fn))
        return [first, slope(first), jax.grad(first, argnums=(0, 4))]

    with jax.enable_x64(True):
        for ours, plain in zip(
            derivatives(recurrent.lstm.pure), derivatives(plain_lstm), strict=True
        ):
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11),
                jax.jit(ours)(*values),
                jax.jit(plain)(*values),
            )
        many = jax.vmap(recurrent.lstm.pure, in_axes=(0, *[None] * 6))
        xs = np.stack([values[0], values[0][::-1]])
        for at, x in enumerate(xs):
            for a, b in zip(many(xs, *values[1:]), plain_lstm(x, *values[1:]), strict=True):
                np.testing.assert_allclose(a[at], b, rtol=1e-12)


@each
def test_what_stands_after_the_end_has_no_influence(case):
    fn, _, values, options = CASES[case]
    filled = values[0].copy()
    filled[2, 0] = np.nan

    def total(*xs: Any) -> Any:
        return sum(jnp.sum(y**2) for y in fn.pure(*xs, lengths=LENGTHS, **options))

    @jax.jit
    def found(*xs: Any) -> tuple[Any, ...]:
        outputs = fn.pure(*xs, lengths=LENGTHS, **options)
        return (*outputs, *jax.grad(total, argnums=tuple(range(len(values))))(*xs))

    expected = found(*values)
    for a, b in zip(found(filled, *values[1:]), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    outputs, gradient = expected[0], expected[-len(values)]
    np.testing.assert_array_equal(outputs[2, 0], 0)
    np.testing.assert_array_equal(gradient[2, 0], 0)


def gradient_of(fn: Any, values: list[np.ndarray], options: dict[str, Any]) -> Any:
    def total(*xs: Any) -> Any:
        return sum(jnp.sum(y**2) for y in fn.pure(*xs, **options))

    return jax.make_jaxpr(jax.grad(total, argnums=tuple(range(len(values)))))(*values)


def equations(jaxpr: Any) -> list[Any]:
    """All equations, also those inside others."""
    found = list(jaxpr.eqns)
    for equation in jaxpr.eqns:
        for value in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                found += equations(inner)
    return found


@each
def test_a_thousand_steps_are_traced_as_one(case):
    fn, _, values, options = CASES[case]
    long = [np.zeros((1000, N, D)), *values[1:]]
    sizes = [len(equations(gradient_of(fn, v, options).jaxpr)) for v in (values, long)]
    assert sizes[0] == sizes[1] < 1000


@each
def test_steps_multiply_by_the_recurrent_weights_and_nothing_else(case):
    """Gradients of the weights are no sums that each step adds to."""
    fn, _, values, options = CASES[case]
    scans = [
        e for e in equations(gradient_of(fn, values, options).jaxpr) if e.primitive.name == "scan"
    ]
    assert len(scans) == 2  # there and back
    for scan in scans:
        inside = equations(scan.params["jaxpr"].jaxpr)
        products = [e for e in inside if e.primitive.name == "dot_general"]
        assert len(products) == (2 if case == "projected lstm" else 1)


# --- Dtypes -----------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bits_are_rounded_once(case, dtype):
    fn, _, values, options = CASES[case]
    half = [jnp.asarray(v, dtype) for v in values]
    single = [v.astype(jnp.float32) for v in half]
    outputs = fn.pure(*half, **options)
    for ours, exact in zip(outputs, fn.pure(*single, **options), strict=True):
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours, exact.astype(dtype))


@pytest.mark.parametrize("dtype", ["int32", "bfloat16"])
def test_input_and_weights_have_one_dtype(dtype):
    _, h, *weights = operands(3, 1)
    weights = [jnp.asarray(w, jnp.float32) for w in weights]
    text = f"gru: input, weight and bias must have one dtype, got {dtype}, float32, float32, "
    with pytest.raises(TypeError, match=re.escape(text)):
        recurrent.gru.pure(jnp.zeros((T, N, D), dtype), h, *weights)


def test_no_steps_and_no_sequences():
    _, h, *weights = operands(3, 1)
    outputs, hidden = recurrent.gru.pure(np.zeros((0, N, D)), h, *weights)
    assert outputs.shape == (0, N, H)
    np.testing.assert_allclose(hidden, h, rtol=1e-6)
    outputs, hidden = recurrent.gru.pure(np.zeros((T, 0, D)), h[:0], *weights)
    assert outputs.shape == (T, 0, H) and hidden.shape == (0, H)


def test_filled():
    x = spaced(T, N, 2)
    check_op(
        lambda x, value: recurrent.filled(x, LENGTHS, value),
        lambda x, value: np.where(np.arange(T)[:, None, None] < LENGTHS[:, None], x, value),
        x,
        np.array(0.5),
    )
    filled = recurrent.filled.pure(np.ones((T, N), np.int32), LENGTHS, -1)
    assert filled.dtype == np.int32
    np.testing.assert_array_equal(filled, [[1, 1], [1, 1], [-1, 1]])
