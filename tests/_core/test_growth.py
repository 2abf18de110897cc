"""The warning about eager operations whose shapes grow."""

from __future__ import annotations

import re
import warnings

import jax
import jax.numpy as jnp
import pytest

import lucid
from lucid import apply
from lucid._core import growth
from lucid._core.op import Op


@pytest.fixture(autouse=True)
def counting(many_shapes, monkeypatch):
    monkeypatch.setattr(growth, "_told", False)
    monkeypatch.setattr(growth, "MANY", 6)  # each size compiles a program


@pytest.fixture
def scaled():
    """An operation that no other test has called."""

    def scaled(a, b):
        return a * b

    return lambda *operands: apply(scaled, *operands)


def test_it_names_the_operation_the_sizes_and_the_ways_out_at_the_line_of_the_user(scaled):
    assert growth.MANY == 6
    for n in range(3, 8):
        scaled(lucid.ones(2, n), 2.0)
    with pytest.warns(RuntimeWarning) as caught:
        scaled(lucid.ones(2, 9), 2.0)
    (warning,) = caught
    assert str(warning.message) == (
        "scaled: one axis had 6 sizes (3, 4, 5, ..., 9) in calls that are equal otherwise, "
        "float32[2, *], float32[], and a program was compiled for each. Pad the axis to a few "
        "sizes; or compile the loop's body with lucid.jit and keep what grows in a Tensor of one "
        "size that is written in place. This is said once."
    )
    assert warning.filename == __file__


def test_it_is_said_once(scaled):
    with pytest.warns(RuntimeWarning) as caught:
        for n in range(1, 20):
            scaled(lucid.ones(2, n), lucid.ones(n))
            lucid.exp(lucid.ones(3, n))
    assert len(caught) == 1


def test_thirty_two_sizes_are_many(monkeypatch):
    monkeypatch.undo()
    assert growth.MANY == 32


@pytest.mark.parametrize(
    "operands",
    [
        lambda n: (lucid.ones(n, n), 2.0),
        lambda n: (lucid.ones(2, n), lucid.ones(2, n)),
        lambda n: (lucid.ones(4, n, 1), lucid.ones(1, n)),
        lambda n: (1.5, lucid.ones(n, 1)),
    ],
)
def test_axes_that_grow_together_are_one(scaled, operands):
    with pytest.warns(RuntimeWarning, match="one axis had 6 sizes"):
        for n in range(5, 12):
            scaled(*operands(n))


@pytest.mark.parametrize(
    "operands",
    [
        lambda n: (lucid.ones(2, 1 << (n % 4)), 2.0),  # padded to a few sizes
        lambda n: (lucid.ones(2, n, dtype=(int, float)[n % 2]), 2.0),
        lambda n: (lucid.ones(n, 100 - n), 2.0),
    ],
    ids=["few sizes", "other dtypes", "two axes"],
)
def test_other_calls_are_not_counted_together(scaled, operands):
    for n in range(10):
        scaled(*operands(n))


def test_the_operations_of_a_program_are_not_counted(scaled):
    for n in range(1, 9):
        jax.jit(lambda x: scaled(x, 2.0))(jnp.ones((2, n)))
        jax.eval_shape(lambda x: scaled(x, 3.0), jnp.ones((3, n)))

    @lucid.jit
    def step(x):
        return scaled(x, 2.0)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "lucid.jit: step was traced", RuntimeWarning)
        for n in range(1, 9):
            step(lucid.ones(2, n))


def test_a_call_that_compiles_nothing_is_not_counted(scaled, monkeypatch):
    counted = []
    monkeypatch.setattr(growth, "_count", counted.append)
    x = lucid.ones(2, 3)
    scaled(x, 2.0)
    assert [form.name for form in counted] == ["scaled"]
    scaled(x, 2.0)
    assert len(counted) == 1


def test_static_arguments_tell_calls_apart():
    x = lucid.ones(3, 2)
    for n in range(1, 9):
        lucid.tile(x, n)


def test_operands_that_are_missing_have_no_shape():
    op = Op(lambda a, b: a if b is None else a + b, "maybe")
    with pytest.warns(RuntimeWarning, match=re.escape("maybe: one axis had 6 sizes (1, 2, 3, ")):
        for n in range(1, 8):
            op.run(jnp.ones(n), None)


def test_a_warning_that_is_an_error_leaves_an_operation_that_works(scaled):
    with pytest.raises(RuntimeWarning, match=r"^scaled: one axis had 6 sizes"):
        for n in range(1, 9):
            scaled(lucid.ones(2, n), 2.0)
    assert scaled(lucid.ones(2, 6), 2.0).shape == (2, 6)
