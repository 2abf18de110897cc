"""Names that every doctest may use, as a reader of the documentation would import them."""

import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn

# Their examples need a package that is optional.
collect_ignore = [] if importlib.util.find_spec("onnx") else ["onnx"]


@pytest.fixture(autouse=True)
def documented_names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(
        lucid=lucid,
        Tensor=Tensor,
        nn=nn,
        F=nn.functional,
        apply=lucid.apply,
        np=np,
        jnp=jnp,
        jax=jax,
    )
