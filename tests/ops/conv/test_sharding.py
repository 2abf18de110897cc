"""Convolutions on 8 devices: no collective but the sum of gradients, and the numbers of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def seen():
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("sharded_cases.py")],
        capture_output=True, text=True, timeout=400, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_split_batch_needs_all_reduces_only(seen):
    assert {"groups, auto", "groups transposed, auto"} < set(seen["collectives"])
    assert {k: v for k, v in seen["collectives"].items() if v != ["all-reduce"]} == {}


def test_results_are_those_of_one_device(seen):
    """For Auto and Explicit meshes, a split batch, channels and kernel, and under shard_map."""
    assert len(seen["differences"]) == 68
    assert {k: v for k, v in seen["differences"].items() if not v < 1e-11} == {}
