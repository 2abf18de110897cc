"""Orbax writes and reads the state of a Module."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import spaced

orbax = pytest.importorskip("orbax.checkpoint")


def trained(seed):
    lucid.random.seed(seed)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU())
    model(Tensor(spaced(4, 2, 5, 5).astype("f")))  # moves the running statistics
    return model


@pytest.mark.parametrize("checkpointer", ["PyTreeCheckpointer", "StandardCheckpointer"])
def test_round_trip(checkpointer, tmp_path):
    model = trained(0)
    arrays = jax.tree.map(
        lambda x: x.data, dict(model.state_dict()), is_leaf=lambda x: isinstance(x, Tensor)
    )
    assert all(type(leaf) is type(jax.numpy.zeros(1)) for leaf in arrays.values())
    with getattr(orbax, checkpointer)() as writer:
        writer.save(tmp_path / "model", arrays)
        if checkpointer == "StandardCheckpointer":
            writer.wait_until_finished()
            restored = writer.restore(tmp_path / "model", arrays)
        else:
            placement = orbax.checkpoint_utils.construct_restore_args(arrays)
            restored = writer.restore(tmp_path / "model", restore_args=placement)
    other = trained(1)
    before = other.state_dict()
    assert any((before[n].numpy() != arrays[n]).any() for n in arrays)
    other.load_state_dict(restored)
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), arrays[name])
