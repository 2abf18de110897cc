"""L-BFGS: steps along a quasi-Newton direction, with or without a line search."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from lucid._core.mode import enable_grad
from lucid._core.typing import Array
from lucid.nn.parameter import Parameter
from lucid.ops.precision import narrowed, wide
from lucid.optim import _checks
from lucid.optim.optimizer import COUNT, ZEROS, Optimizer, Params, Slot, hyperparameters

Vector = list[Array]  # one array for each parameter


class Point(NamedTuple):
    """What is known `t` steps along a direction."""

    t: float
    value: float
    slope: float
    gradient: Vector


class LBFGS(Optimizer):
    """L-BFGS (Nocedal & Wright, "Numerical optimization", algorithms 7.5 and 3.5).

    `step` computes the loss again and again, on all of the data, by a closure that it needs. Loss
    and gradients are read in between, so that a step cannot be compiled; the closure can. State
    takes 2 * `history_size` + 2 times the memory of the parameters.

    Args:
        params: Parameters, in one group.
        lr: the length of a step, or with a line search what that begins with; the first step is
            shorter where the gradient is large.
        max_iter: how many times a step changes its direction at most.
        max_eval: how often it computes the loss before it ends; 1.25 * `max_iter` by default.
        tolerance_grad: it ends if no gradient is larger.
        tolerance_change: it ends if neither the parameters nor the loss change by more.
        history_size: how many changes of the gradient are remembered.
        line_search_fn: "strong_wolfe" looks for a length that satisfies the strong Wolfe
            conditions; None takes `lr`.

    Raises:
        ValueError: there are several groups, a number is negative, or the search is unknown.

    >>> w = nn.Parameter([3.0, -1.0])
    >>> optimizer = lucid.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - lucid.tensor([1.0, 2.0])) ** 4).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item() > 80, closure().item() < 1e-4
    (True, True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: Literal["strong_wolfe"] | None = None,
    ) -> None:
        if max_eval is None:
            max_eval = max_iter * 5 // 4
        super().__init__(params, hyperparameters(locals()))

    def check_group(self, group: dict[str, Any]) -> None:
        """Also refuse an unknown search."""
        numbers = {k: v for k, v in self.defaults.items() if k != "line_search_fn"}
        _checks.check_numbers("LBFGS", group, numbers)
        if group["history_size"] < 1:
            raise ValueError(
                f"LBFGS: history_size must be at least 1, got {group['history_size']}."
            )
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(
                'LBFGS: line_search_fn must be "strong_wolfe" or None, got '
                f"{group['line_search_fn']!r}."
            )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take the one group that there is.

        Raises:
            ValueError: there is a group already.
        """
        if self.param_groups:
            raise ValueError("LBFGS: all parameters share one direction, so there is one group.")
        super().add_param_group(param_group)

    def slots(self, group: dict[str, Any]) -> dict[str, Slot]:
        """The remembered steps and what they changed of the gradient; the last of both."""
        rows = Slot(rows=int(group["history_size"]))
        return {"step": COUNT, "steps": rows, "changes": rows, "moved": ZEROS, "gradient": ZEROS}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Minimise along up to `max_iter` directions.

        Args:
            closure: clears the gradients, computes the loss and its gradients, and returns it.

        Returns:
            The loss before the step.

        Raises:
            TypeError: there is no closure.
        """
        if closure is None:
            raise TypeError(
                "LBFGS: step needs a closure that clears the gradients, computes the loss, calls "
                "backward and returns the loss; it is called several times."
            )
        (group,) = self.param_groups
        params: list[Parameter] = group["params"]
        states = [self.state[param] for param in params]

        def evaluate() -> tuple[Any, Vector]:
            with enable_grad():
                loss = closure()
            return loss, [
                jnp.zeros_like(wide(p.data)) if p.grad is None else wide(p.grad.data)
                for p in params
            ]

        def move(start: Vector, along: Vector, t: float) -> None:
            for param, data in zip(params, _moved(start, along, t), strict=True):
                param.data = data

        first_loss, gradient = evaluate()
        value, evaluations = float(first_loss), 1
        for iteration in range(1, int(group["max_iter"]) + 1):
            if float(_largest(gradient)) <= group["tolerance_grad"]:
                break
            fields = [{key: slot.data for key, slot in state.items()} for state in states]
            along, new, slope, total = _direction(gradient, fields)
            begin = states[0]["step"].item() == 0
            t = group["lr"] * (min(1.0, 1.0 / float(total)) if begin else 1.0)
            for state, arrays in zip(states, new, strict=True):
                for key, array in arrays.items():
                    state[key].data = array
            if float(slope) > -group["tolerance_change"]:
                break
            start, size = [param.data for param in params], float(_largest(along))
            before = Point(0.0, value, float(slope), gradient)
            if group["line_search_fn"] is not None:

                def at(t: float, start: Vector = start, along: Vector = along) -> Point:
                    move(start, along, t)
                    loss, gradient = evaluate()
                    return Point(t, float(loss), float(_dot(gradient, along)), gradient)

                most = group["max_eval"] - evaluations
                found, count = _strong_wolfe(at, before, t, size, group["tolerance_change"], most)
                _, value, _, gradient = found
                t = found.t
                evaluations += count
                move(start, along, t)
            else:
                move(start, along, t)
                if iteration < group["max_iter"]:
                    loss, gradient = evaluate()
                    value = float(loss)
                    evaluations += 1
            for state, d in zip(states, along, strict=True):
                state["moved"].data = t * d
            if (
                evaluations >= group["max_eval"]
                or t * size <= group["tolerance_change"]
                or abs(value - before.value) < group["tolerance_change"]
            ):
                break
        return first_loss


def _strong_wolfe(
    at: Callable[[float], Point], start: Point, t: float, size: float, tolerance: float, most: int
) -> tuple[Point, int]:
    """A point that decreases the value enough and is flat enough, and how many were looked at.

    First ahead until such a point lies between two, then between them, by cubic interpolation;
    behind the first one `most` are looked at, and then the lowest point is taken.
    """
    count = 0

    def too_high(p: Point) -> bool:
        return p.value > start.value + 1e-4 * p.t * start.slope

    def flat(p: Point) -> bool:
        return abs(p.slope) <= -0.9 * start.slope

    last, point = start, at(t)
    while count < most:
        if too_high(point) or (count > 1 and point.value >= last.value):
            break
        if flat(point):
            return point, count + 1
        if point.slope >= 0:
            break
        ahead = point.t + 0.01 * (point.t - last.t), 10 * point.t
        last, point = point, at(_lowest(last, point, *ahead))
        count += 1
    else:
        last = start
    low, high = sorted((last, point), key=lambda p: p.value)
    stuck = False
    while count < most and abs(high.t - low.t) * size >= tolerance:
        left, right = sorted((low.t, high.t))
        t = _lowest(low, high, left, right)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) >= margin:
            stuck = False
        elif stuck or t in (left, right):  # the second time at an end: away from it
            t = right - margin if right - t < t - left else left + margin
            stuck = False
        else:
            stuck = True
        point = at(t)
        count += 1
        if too_high(point) or point.value >= low.value:
            low, high = sorted((low, point), key=lambda p: p.value)
        elif flat(point):
            low = point
            break
        else:
            low, high = point, low if point.slope * (high.t - low.t) >= 0 else high
    return low, count + 1


def _lowest(a: Point, b: Point, least: float, most: float) -> float:
    """Where the cubic through two points with their slopes is lowest, from `least` to `most`.

    In the middle where there is none, as where a value is infinite.
    """
    if a.t > b.t:
        a, b = b, a
    place = math.nan
    if a.t < b.t:
        mean = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
        square = mean * mean - a.slope * b.slope
        root = math.sqrt(square) if square >= 0 else math.nan
        if divisor := b.slope - a.slope + 2 * root:
            place = b.t - (b.t - a.t) * ((b.slope + root - mean) / divisor)
    return min(max(place, least), most) if math.isfinite(place) else (least + most) / 2


def _dot_of(a: Vector, b: Vector) -> Array:
    return functools.reduce(jnp.add, (jnp.sum(x * y) for x, y in zip(a, b, strict=True)))


_dot = jax.jit(_dot_of)


@jax.jit
def _moved(start: Vector, along: Vector, t: float) -> Vector:
    return [narrowed(wide(x) + t * d, x) for x, d in zip(start, along, strict=True)]


@jax.jit
def _largest(vector: Vector) -> Array:
    return functools.reduce(jnp.maximum, (jnp.abs(x).max(initial=0) for x in vector))


@jax.jit
def _direction(
    gradient: Vector, states: list[dict[str, Array]]
) -> tuple[Vector, list[dict[str, Array]], Array, Array]:
    """The direction of the next step, the new states, and slope and sum of the gradient.

    Rows of the history that hold zeros say nothing; those of the first steps do.
    """
    moved = [state["moved"] for state in states]
    change = [g - state["gradient"] for g, state in zip(gradient, states, strict=True)]
    curved = _dot_of(moved, change) > 1e-10

    def appended(rows: Array, row: Array) -> Array:
        return jnp.where(curved, jnp.concatenate([rows[1:], row[None]]), rows)

    steps, changes = (
        [appended(state[key], row) for state, row in zip(states, rows, strict=True)]
        for key, rows in (("steps", moved), ("changes", change))
    )
    products = jax.vmap(_dot_of)(steps, changes)
    weights = jnp.where(products > 0, 1 / jnp.where(products > 0, products, 1), 0)
    square = _dot_of(*[[rows[-1] for rows in changes]] * 2)
    scale = jnp.where(square > 0, products[-1] / jnp.where(square > 0, square, 1), 1)

    def back(q: Vector, row: tuple[Vector, Vector, Array]) -> tuple[Vector, Array]:
        s, y, weight = row
        share = weight * _dot_of(s, q)
        return [a - share * b for a, b in zip(q, y, strict=True)], share

    def forth(r: Vector, row: tuple[Vector, Vector, Array, Array]) -> tuple[Vector, None]:
        s, y, weight, share = row
        left = share - weight * _dot_of(y, r)
        return [a + left * b for a, b in zip(r, s, strict=True)], None

    q, shares = jax.lax.scan(back, [-g for g in gradient], (steps, changes, weights), reverse=True)
    along, _ = jax.lax.scan(forth, [scale * a for a in q], (steps, changes, weights, shares))
    new = [
        {"step": state["step"] + 1, "steps": s, "changes": y, "moved": m, "gradient": g}
        for state, s, y, m, g in zip(states, steps, changes, moved, gradient, strict=True)
    ]
    total = functools.reduce(jnp.add, (jnp.abs(g).sum() for g in gradient))
    return along, new, _dot_of(gradient, along), total
