"""Convolutions on 8 devices: no collective but the sum of gradients, and the numbers of one."""

from pathlib import Path

import pytest

from tests.helpers import on_8_devices


@pytest.fixture(scope="module")
def seen():
    return on_8_devices(Path(__file__).with_name("sharded_cases.py"), timeout=400)


def test_a_split_batch_needs_all_reduces_only(seen):
    assert {"groups, auto", "groups transposed, auto"} < set(seen["collectives"])
    assert {k: v for k, v in seen["collectives"].items() if v != ["all-reduce"]} == {}


def test_results_are_those_of_one_device(seen):
    """For Auto and Explicit meshes, a split batch, channels and kernel, and under shard_map."""
    assert len(seen["differences"]) == 68
    assert {k: v for k, v in seen["differences"].items() if not v < 1e-11} == {}
