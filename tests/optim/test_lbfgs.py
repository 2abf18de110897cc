"""L-BFGS: against its definition, how it ends, its state, and what it refuses."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.optim import LBFGS, lbfgs

RNG = np.random.default_rng(0)
A = RNG.standard_normal((6, 6))
A = A @ A.T + np.eye(6)
B = RNG.standard_normal(6)


class Problem:
    """x A x / 2 - b x + sum(x**4) / 20, its variables in two parameters of different shapes."""

    def __init__(self, dtype="float64", **options):
        self.params = [nn.Parameter(np.zeros((2, 2)), dtype=dtype), nn.Parameter(np.zeros(2))]
        self.params[1].data = self.params[1].astype(dtype).data
        self.optimizer = LBFGS(self.params, **options)
        self.calls = 0

    def closure(self):
        self.calls += 1
        self.optimizer.zero_grad()
        x = lucid.concatenate([p.reshape(-1).astype(float) for p in self.params])
        loss = x @ (Tensor(A) @ x) / 2 - x @ Tensor(B) + (x**4).sum() / 20
        loss.backward()
        return loss

    def step(self):
        return self.optimizer.step(self.closure).item()

    def x(self):
        return np.concatenate([p.numpy().ravel() for p in self.params])


def gradient(x):
    return A @ x - B + x**3 / 5


def definition(count, lr, history):
    """The inverse Hessian written out, as BFGS updates it from its first guess."""
    x, pairs, path = np.zeros(6), [], []
    for k in range(count):
        g = gradient(x)
        inverse = np.eye(6)
        if pairs:
            s, y = pairs[-1]
            inverse *= s @ y / (y @ y)
        for s, y in pairs:
            left = np.eye(6) - np.outer(s, y) / (s @ y)
            inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
        t = lr * min(1, 1 / np.abs(g).sum()) if k == 0 else lr
        step = -t * inverse @ g
        pairs = [*pairs, (step, gradient(x + step) - g)][-history:]
        x = x + step
        path.append(x)
    return np.array(path)


@pytest.mark.parametrize("history", [1, 3, 100])
def test_fixed_steps(history):
    with jax.enable_x64(True):
        problem = Problem(lr=0.5, max_iter=1, history_size=history)
        path = []
        for _ in range(8):
            problem.step()
            path.append(problem.x())
        np.testing.assert_allclose(path, definition(8, 0.5, history), rtol=1e-9, atol=1e-12)
        together = Problem(lr=0.5, max_iter=8, history_size=history)
        together.step()
        np.testing.assert_allclose(together.x(), path[-1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_it_finds_the_minimum(search):
    with jax.enable_x64(True):
        problem = Problem(max_iter=100, tolerance_change=1e-15, line_search_fn=search)
        assert problem.step() == 0.0
        np.testing.assert_allclose(gradient(problem.x()), 0, atol=1e-6)
        before = problem.x()
        calls = problem.calls
        problem.step()
        assert problem.calls == calls + 1
        np.testing.assert_array_equal(problem.x(), before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_of_narrow_parameters_the_state_is_float32(dtype):
    problem = Problem(dtype, line_search_fn="strong_wolfe")
    first = problem.step()
    assert problem.closure().item() < first
    states = problem.optimizer.state.values()
    assert {str(p.dtype) for p in problem.params} == {dtype}
    assert {str(v.dtype) for s in states for k, v in s.items() if k != "step"} == {"float32"}


@pytest.mark.parametrize("t", [1e-3, 0.1, 1.0, 30.0])
@pytest.mark.parametrize("slope", [-5.0, -20.0])
def test_a_line_search_ends_at_a_wolfe_point(t, slope):
    def at(t):
        value = slope * t + 3 * t**2 + np.sin(4 * t)
        return lbfgs.Point(t, value, slope + 6 * t + 4 * np.cos(4 * t), [])

    start = at(0.0)
    found, count = lbfgs._strong_wolfe(at, start, t, 1.0, 1e-9, 25)
    assert found == at(found.t)
    assert found.value <= start.value + 1e-4 * found.t * start.slope
    assert abs(found.slope) <= 0.9 * abs(start.slope)
    assert 1 <= count <= 12


def test_a_line_search_comes_back_from_where_the_value_overflows():
    def at(t):
        value = np.exp(min(100 * t, 800.0)) - 200 * t if t < 8 else np.inf
        slope = 100 * np.exp(100 * t) - 200 if t < 7 else np.nan
        return lbfgs.Point(t, float(value), float(slope), [])

    found, _ = lbfgs._strong_wolfe(at, at(0.0), 10.0, 1.0, 1e-9, 60)
    assert found.value < at(0.0).value and 0 < found.t < 0.01


def test_the_lowest_place_of_a_cubic():
    def point(t, value, slope):
        return lbfgs.Point(t, value, slope, [])

    cubic = [point(t, t**3 - 3 * t, 3 * t**2 - 3) for t in (0.0, 3.0)]
    assert lbfgs._lowest(*cubic, 0.0, 3.0) == pytest.approx(1.0)
    assert lbfgs._lowest(*cubic[::-1], 2.0, 3.0) == 2.0
    line = point(0.0, 0.0, 1.0), point(2.0, 2.0, 1.0)
    assert lbfgs._lowest(*line, 0.0, 2.0) == 1.0
    assert lbfgs._lowest(line[0], point(2.0, np.inf, 1.0), 0.0, 2.0) == 1.0


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_how_it_ends(search):
    problem = Problem("float32", max_iter=3, max_eval=99, line_search_fn=search)
    problem.step()
    assert problem.optimizer.state[problem.params[0]]["step"].item() == 3
    problem = Problem("float32", max_iter=50, max_eval=4, line_search_fn=search)
    problem.step()
    assert 4 <= problem.calls <= 5
    problem = Problem("float32", tolerance_grad=1e6, line_search_fn=search)
    problem.step()
    assert problem.calls == 1 and not problem.x().any()
    problem = Problem("float32", tolerance_change=1e6, line_search_fn=search)
    problem.step()
    assert problem.calls == 1 and not problem.x().any()


def test_a_parameter_without_a_gradient_stays():
    w, idle = nn.Parameter([2.0]), nn.Parameter([5.0])
    optimizer = LBFGS([w, idle], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert abs(w.item()) < 1e-3 and idle.item() == 5.0


def test_a_compiled_closure_and_no_recompilation():
    model = nn.Linear(3, 1)
    x, y = lucid.randn(20, 3), lucid.randn(20, 1)
    optimizer = LBFGS(model.parameters(), line_search_fn="strong_wolfe", history_size=5)

    @lucid.jit
    def closure():
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        return loss

    with lucid.no_grad():  # which the closure's gradients do not mind
        first = optimizer.step(closure).item()
    assert closure().item() < first
    solution, *_ = np.linalg.lstsq(np.c_[x.numpy(), np.ones(20)], y.numpy(), rcond=None)
    np.testing.assert_allclose(model.weight.numpy(), solution[:3].T, atol=1e-3)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_a_state_dict_goes_on(search, tmp_path):
    options = {"max_iter": 2, "history_size": 4, "line_search_fn": search}
    first, second = Problem("float32", **options), Problem("float32", lr=0.3, history_size=4)
    for _ in range(3):
        first.step()
    path = lucid.save(first.optimizer.state_dict(), tmp_path / "lbfgs.npz")
    second.optimizer.load_state_dict(lucid.load(path))
    for a, b in zip(first.params, second.params, strict=True):
        b.data = a.data
    for _ in range(2):
        assert first.step() == second.step()
    np.testing.assert_array_equal(first.x(), second.x())


def test_refusals():
    w = nn.Parameter([1.0])
    for options, text in (
        ({"line_search_fn": "armijo"},
         "LBFGS: line_search_fn must be \"strong_wolfe\" or None, got 'armijo'."),
        ({"history_size": 0}, "LBFGS: history_size must be at least 1, got 0."),
        ({"lr": -1.0}, "LBFGS: lr must be at least 0 and finite, got -1.0."),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            LBFGS([w], **options)
    with pytest.raises(ValueError, match="all parameters share one direction"):
        LBFGS([{"params": [w]}, {"params": [nn.Parameter([1.0])]}])
    with pytest.raises(TypeError, match=r"^LBFGS: step needs a closure that clears the gradients"):
        LBFGS([w]).step()
