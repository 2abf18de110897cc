"""`lucid.einops` against loops over all values of all named axes."""

from __future__ import annotations

import itertools
import math
import re

import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, einops, nn
from tests.helpers import check_op, count_compiles, spaced

FUNCTIONS = {
    "sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "prod": np.prod, "any": np.any,
    "all": np.all,
}  # fmt: skip


def loops(a, left, right, sizes, reduction="sum"):
    """The result, element by element. A side is a list of tuples of names."""

    def place(groups, at):
        numbers = []
        for group in groups:
            number = 0
            for name in group:
                number = number * sizes[name] + at[name]
            numbers.append(number)
        return tuple(numbers)

    cells: dict[tuple[int, ...], list[float]] = {}
    for values in itertools.product(*(range(n) for n in sizes.values())):
        at = dict(zip(sizes, values, strict=True))
        cells.setdefault(place(right, at), []).append(a[place(left, at)])
    shape = tuple(math.prod(sizes[name] for name in group) for group in right)
    result = np.empty(shape, np.asarray(FUNCTIONS[reduction](a)).dtype)
    for at, elements in cells.items():
        result[at] = FUNCTIONS[reduction](elements)
    return result


def grouped(rng, names):
    """The names in random order and random groups, also empty ones."""
    groups = [[] for _ in range(len(names) + 1)]
    for name in rng.permutation(names):
        groups[rng.integers(len(groups))].append(str(name))
    return [tuple(group) for group in groups if group or rng.random() < 0.2]


def text(groups):
    return " ".join(g[0] if len(g) == 1 else f"({' '.join(g)})" if g else "1" for g in groups)


def drawn(seed, call):
    """A random pattern: operand, pattern, arguments, and what the loops need."""
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c", "row"][: rng.integers(1, 5)]
    sizes = {name: int(rng.integers(1, 4)) for name in names}
    some = [name for name in names if rng.random() < 0.6]
    left = grouped(rng, some if call == "repeat" else names)
    right = grouped(rng, some if call == "reduce" else names)
    shape = tuple(math.prod(sizes[name] for name in group) for group in left)
    return spaced(*shape, seed=seed), f"{text(left)} -> {text(right)}", left, right, sizes


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("call", ["rearrange", "repeat", "sum", "mean", "max", "prod"])
def test_random_patterns(call, seed):
    reduction = [] if call in ("rearrange", "repeat") else [call]
    name = "reduce" if reduction else call
    a, pattern, left, right, sizes = drawn(seed, name)
    known = {part for group in left if len(group) == 1 for part in group}
    needed = {part: n for part, n in sizes.items() if part not in known}
    check_op(
        lambda x: getattr(einops, name)(x, pattern, *reduction, **needed),
        lambda x: loops(x, left, right, sizes, *reduction),
        a,
    )


A = spaced(4, 6, 2)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (einops.rearrange(A, "... c -> c ..."), A.transpose(2, 0, 1)),
        (einops.rearrange(A, "a ... -> (...) a"), A.reshape(4, 12).T),
        (einops.rearrange(A, "a b ... c -> c (b a) ..."), A.transpose(2, 1, 0).reshape(2, 24)),
        (einops.rearrange(A, "a (b c) d -> a c b d", b=2), A.reshape(4, 2, 3, 2).swapaxes(1, 2)),
        (einops.rearrange(A[:1], "1 b c -> b () c"), A[0][:, None]),
        (einops.rearrange(A[0, 0, 0], "->"), A[0, 0, 0]),
        (einops.reduce(A, "... ->"), A.sum()),
        (einops.reduce(A, "a ... -> a 1", "mean"), A.mean((1, 2))[:, None]),
        (einops.reduce(A, "(a 2) (b 3) c -> a b c", "max"), A.reshape(2, 2, 2, 3, 2).max((1, 3))),
        (einops.reduce(A > 0, "a b c -> a", "all"), (A > 0).all((1, 2))),
        (einops.reduce(A > 0, "a b c -> a", "any"), (A > 0).any((1, 2))),
        (einops.reduce(A, "a b c -> b", "min"), A.min((0, 2))),
        (einops.repeat(A, "a b c -> a 3 b c"), np.repeat(A[:, None], 3, 1)),
        (einops.repeat(A, "... -> ... k", k=2), np.stack([A, A], -1)),
        (einops.repeat(A, "a b c -> (a 2) b (c k)", k=3), A.repeat(2, 0).repeat(3, 2)),
        (einops.repeat(A, "a b c -> (2 a) b c"), np.tile(A, (2, 1, 1))),
        (einops.rearrange(A[:0], "a (b c) d -> (a b) c d", b=2), np.zeros((0, 3, 2))),
        (einops.einsum("abc,abc->b", A, A), (A * A).sum((0, 2))),
        (einops.einsum("i j k, k -> i j", A, A[0, 0]), A @ A[0, 0]),
        (einops.einsum("batch row col, batch last row -> batch last col", A, A.swapaxes(1, 2)),
         A.swapaxes(1, 2) @ A),
        (einops.einsum("... col, col -> ...", A, A[0, 0]), A @ A[0, 0]),
        (einops.einsum("row row ->", A[:2, 0]), np.trace(A[:2, 0])),
    ],
)  # fmt: skip
def test_the_language(found, expected):
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", "bool"])
def test_dtypes(dtype):
    x = lucid.ones(300, 2, dtype=dtype)
    assert einops.rearrange(x, "a b -> b a").dtype == x.dtype
    assert einops.repeat(x, "a b -> a b 2").dtype == x.dtype
    total = einops.reduce(x, "a b -> b")
    assert total.dtype == (np.int32 if dtype == "bool" else x.dtype)
    np.testing.assert_array_equal(total.astype(float).numpy(), 300.0)  # one rounding


def test_arrays_give_arrays_and_tensors_tensors():
    assert isinstance(einops.rearrange(jnp.ones((2, 3)), "a b -> b a"), jnp.ndarray)
    assert isinstance(einops.rearrange(Tensor(A), "a b c -> c b a"), Tensor)


def test_a_pattern_is_compiled_once():
    x = Tensor(A)
    einops.reduce(x, "a b c -> b", "mean")
    with count_compiles(expect=0):
        einops.reduce(x, "a b c -> b", "mean")


def test_in_a_compiled_function():
    step = lucid.jit(lambda x: einops.rearrange(x, "a (b p) c -> a b (p c)", p=2))
    np.testing.assert_array_equal(step(Tensor(A)).numpy(), A.astype("f").reshape(4, 3, 4))


def test_layer():
    layer = nn.Rearrange("b (h p) c -> b h (p c)", p=2)
    assert repr(layer) == "Rearrange('b (h p) c -> b h (p c)', p=2)"
    np.testing.assert_array_equal(layer(Tensor(A)).numpy(), A.astype("f").reshape(4, 3, 4))


R, D, P = einops.rearrange, einops.reduce, einops.repeat


@pytest.mark.parametrize(
    ("call", "pattern", "sizes", "problem"),
    [
        (R, "a b c", {}, 'a pattern has two sides, joined by one "->"'),
        (R, "a -> b -> c", {}, 'a pattern has two sides, joined by one "->"'),
        (R, "(a (b c)) -> a", {}, "parentheses stand in pairs, and not in one another"),
        (R, "a b) c -> a", {}, "parentheses stand in pairs, and not in one another"),
        (R, "a (b c -> a b c", {}, "parentheses stand in pairs, and not in one another"),
        (R, "a b-c -> a", {}, '"-" is no name of an axis'),
        (R, "a a b -> a b", {}, "a stands twice on one side"),
        (R, "a b c -> a b", {}, "c stands only on the left; `reduce` reduces axes"),
        (R, "a b 2 -> a b", {}, "2 stands only on the left; `reduce` reduces axes"),
        (P, "a b c -> a b", {}, "c stands only on the left; `reduce` reduces axes"),
        (R, "a b c -> a b c d", {"d": 2}, "d stands only on the right; `repeat` adds axes"),
        (D, "a b c -> a d", {"d": 2}, "d stands only on the right; `repeat` adds axes"),
        (P, "a b c -> ... a b c", {}, "... stands only on the right; `repeat` adds axes"),
        (P, "a b c -> a b c d", {}, "the axis d is new and needs a size, such as d=2"),
        (R, "a b c -> a c b", {"d": 2}, "d=2 is given, but no axis has that name"),
        (R, "a b c -> a c b", {"a": -1}, "the size of a must be a whole number, not -1"),
        (R, "a b c -> a c b", {"a": 4.0}, "the size of a must be a whole number, not 4.0"),
        (R, "a b -> b a", {}, "the left side has 2 axes, but the shape 3"),
        (R, "a b c d ... -> a b c d ...", {}, "the left side has 4 axes, but the shape 3"),
        (R, "a (...) -> a ...", {}, "on the left ... stands in no parentheses"),
        (R, "a (b d) c -> a b c d", {}, "of the axes ['b', 'd'] of axis 1 all but one need a size"),
        (R, "a (b d) c -> a b c d", {"b": 4}, "axis 1 of size 6 cannot be split into parts of 4"),
        (R, "a (b d) c -> a b c d", {"b": 0}, "axis 1 of size 6 cannot be split into parts of 0"),
        (R, "a b c -> c b a", {"c": 3}, "axis 2 has size 2, but the pattern says 3"),
        (R, "a b 1 -> b a", {}, "axis 2 has size 2, but the pattern says 1"),
    ],
)  # fmt: skip
def test_a_pattern_without_meaning_is_refused(call, pattern, sizes, problem):
    full = f'{call.__name__}: {problem}; got the pattern "{pattern}" for the shape (4, 6, 2).'
    with pytest.raises(ValueError, match=f"^{re.escape(full)}$"):
        call(Tensor(A), pattern, **sizes)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match=r'^reduce: there is no reduction "median"; name one of'):
        einops.reduce(Tensor(A), "a b c -> a", "median")


def test_a_size_that_is_a_tensor_is_refused():
    with pytest.raises(TypeError, match=r"^rearrange: a must be a plain Python value, .* Tensor"):
        einops.rearrange(Tensor(A), "(a b) c d -> a b c d", a=lucid.tensor(2))


def test_sizes_compile_programs_of_their_own_in_any_order():
    x = Tensor(A)
    for sizes in ({"a": 2, "c": 3}, {"c": 3, "a": 2}, {"a": 1, "c": 2}):
        found = einops.rearrange(x, "(a b) (c d) e -> a b c d e", **sizes)
        a, c = sizes["a"], sizes["c"]
        assert found.shape == (a, 4 // a, c, 6 // c, 2)


def test_the_pure_form_is_for_arrays():
    found = einops.rearrange.pure(jnp.asarray(A), "(a b) c d -> a b c d", a=2)
    np.testing.assert_array_equal(found, A.astype("f").reshape(2, 2, 6, 2))
