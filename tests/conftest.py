"""What holds for all tests."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

import lucid
from lucid._core import growth

TESTS = Path(__file__).parent
# Tables of derivatives with tolerances, which compile more than they compute. Not the programs
# themselves: their last digits, their memory, their aliases and their collectives.
UNOPTIMISED = {Path("nn"), Path("ops"), Path("optim")}
OPTIMISED = {Path("ops/conv")}
# Files with long tables of derivatives, or with processes: more than ten seconds each.
SLOW = {
    Path(name)
    for name in (
        "_core/jit/test_interrupts.py", "_core/jit/test_programs.py",
        "_core/test_numbers_compile_nothing.py", "data/test_loader.py", "examples",
        "nn/test_cache.py", "nn/test_constrained.py", "nn/test_functional.py",
        "nn/test_layers_table.py", "nn/test_recurrent.py", "nn/test_reparametrized.py",
        "nn/test_transformer.py", "ops/conv/test_chunks.py", "ops/conv/test_maps.py",
        "ops/conv/test_sharding.py", "ops/conv/test_transformations.py", "ops/test_attention.py",
        "ops/test_ctc.py", "ops/test_decompositions.py", "ops/test_half_precision.py",
        "ops/test_histogram.py", "ops/test_indexing.py", "ops/test_norm.py", "ops/test_padding.py",
        "ops/test_patterns.py", "ops/test_recurrent.py", "ops/test_reduce.py",
        "ops/test_sampling.py", "optim/test_optax.py", "optim/test_optimizer.py",
        "optim/test_rules.py", "test_autocast.py", "test_control.py", "test_docstrings.py",
        "test_export.py", "test_hostile_files.py", "test_processes.py", "test_random.py",
        "test_resume.py", "test_sharding.py", "test_typing.py",
    )
}  # fmt: skip


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(TESTS) and is_in(SLOW, item.path):
            item.add_marker(pytest.mark.slow)


def is_in(places, path):
    """Whether a file is one of some places below this folder, or lies in one."""
    inside = path.relative_to(TESTS)
    return not places.isdisjoint((inside, *inside.parents))


@pytest.fixture(autouse=True)
def many_shapes(monkeypatch):
    """Tests meet many shapes on purpose, which nobody need be warned of."""
    monkeypatch.setattr(growth, "_told", True)


@pytest.fixture(autouse=True)
def seed():
    """The weights of a test do not depend on the tests before it."""
    lucid.random.seed(0)


@pytest.fixture(autouse=True)
def compilation(request):
    """XLA leaves out its optimisations, which take half of the time of some tests."""
    plain = is_in(UNOPTIMISED, request.path) and not is_in(OPTIMISED, request.path)
    if jax.config.read("jax_disable_most_optimizations") != plain:
        jax.config.update("jax_disable_most_optimizations", plain)
