"""The examples of declared functions, which pytest's collection of doctests passes over.

The globals of a declared function are those of the declaration, another module than its own.
"""

from __future__ import annotations

import doctest
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn

# As in lucid/conftest.py.
NAMES = {
    "lucid": lucid, "Tensor": Tensor, "nn": nn, "F": nn.functional, "apply": lucid.apply,
    "np": np, "jnp": jnp, "jax": jax,
}  # fmt: skip
PLACES = {
    "lucid": lucid,
    "einops": lucid.einops,
    "linalg": lucid.linalg,
    "F": nn.functional,
    "Tensor": Tensor,
}
DECLARED = {
    f"{place}.{name}": value
    for place, owner in PLACES.items()
    for name, value in inspect.getmembers(owner)
    if name[0] != "_" and hasattr(value, "declaration")
}


@pytest.mark.parametrize("name", DECLARED)
def test_examples_of_declared_functions(name):
    text = inspect.getdoc(DECLARED[name]) or ""
    test = doctest.DocTestParser().get_doctest(text, dict(NAMES), name, None, None)
    assert test.examples, f"{name} has no example"
    found: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    result = runner.run(test, out=found.append)
    assert not result.failed, "".join(found)


def test_all_declared_functions_are_found():
    assert {"lucid.exp", "F.cross_entropy", "F.relu", "Tensor.exp"} <= set(DECLARED)
