"""What holds for all tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

# Programs that take long to compile serve later tests and the processes that these start. JAX
# reads this when it is imported, and the workers of a run in parallel inherit it.
KEPT = None
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    KEPT = tempfile.mkdtemp(prefix="lucid-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = KEPT
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"

import jax
import pytest

import lucid
from lucid._core import growth

TESTS = Path(__file__).parent
# Tables of derivatives with tolerances, which compile more than they compute. Not the programs
# themselves: their last digits, their memory, their aliases and their collectives.
UNOPTIMISED = {Path("nn"), Path("ops"), Path("optim")}
OPTIMISED = {Path("ops/conv")}
# Files that take most of the time of all, and are no part of the command of the README: more than
# half a minute each.
LONG = {
    Path(name)
    for name in (
        "_core/jit/test_interrupts.py", "_core/test_numbers_compile_nothing.py", "examples",
        "nn/test_layers_table.py", "ops/conv/test_sharding.py", "ops/test_attention.py",
        "ops/test_decompositions.py", "ops/test_half_precision.py", "ops/test_recurrent.py",
        "ops/test_sampling.py", "optim/test_optimizer.py", "test_autocast.py", "test_control.py",
        "test_control_limits.py", "test_export.py", "test_hostile_files.py", "test_processes.py",
        "test_sharding.py",
    )
}  # fmt: skip
# Files that are no part of the quick loop either: more than eight seconds each.
SLOW = LONG | {
    Path(name)
    for name in (
        "_core/jit/test_derivatives.py", "_core/jit/test_guards.py",
        "_core/jit/test_kept_programs.py", "_core/jit/test_ownership.py",
        "_core/jit/test_programs.py", "_core/jit/test_state.py", "_core/jit/test_watch.py",
        "_core/test_backward.py", "_core/test_errors.py", "_core/test_files.py",
        "_core/test_growth.py", "_core/test_integers.py", "data/test_loader.py", "interop",
        "nn/test_attention.py", "nn/test_cache.py", "nn/test_constrained.py", "nn/test_conv.py",
        "nn/test_functional.py", "nn/test_init.py", "nn/test_recurrent.py",
        "nn/test_reparametrized.py", "nn/test_transformer.py", "ops/conv/test_chunks.py",
        "ops/conv/test_maps.py", "ops/conv/test_memory.py", "ops/conv/test_platforms.py",
        "ops/conv/test_transformations.py", "ops/test_ctc.py", "ops/test_cumulative.py",
        "ops/test_dropout.py", "ops/test_elementwise.py", "ops/test_histogram.py",
        "ops/test_indexing.py", "ops/test_norm.py", "ops/test_padding.py", "ops/test_patterns.py",
        "ops/test_random.py", "ops/test_reduce.py", "ops/test_selection.py", "ops/test_shape.py",
        "ops/test_sorting.py", "optim/test_lbfgs.py", "optim/test_optax.py", "optim/test_rules.py",
        "parity", "test_docstrings.py", "test_mistakes.py", "test_random.py", "test_readme.py",
        "test_resume.py", "test_typing.py",
    )
}  # fmt: skip


def pytest_unconfigure():
    if KEPT is not None:
        shutil.rmtree(KEPT, ignore_errors=True)


def pytest_collection_modifyitems(items):
    for item in items:
        if not item.path.is_relative_to(TESTS):
            continue
        if is_in(SLOW, item.path):
            item.add_marker(pytest.mark.slow)
        if is_in(LONG, item.path):
            item.add_marker(pytest.mark.long)


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
