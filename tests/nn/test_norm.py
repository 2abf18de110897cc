"""Running statistics: when they move, and when they stay."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import spaced


@pytest.mark.parametrize("momentum", [0.3, None])
def test_running_statistics_of_several_passes_in_one_compiled_step(momentum):
    def step(norm, a, b):
        norm(a)
        return norm(b * 3)

    eager, jitted = (nn.BatchNorm1d(4, momentum=momentum) for _ in range(2))
    compiled = lucid.jit(lambda a, b: step(jitted, a, b))
    for i in range(3):
        a, b = (Tensor(spaced(5, 4, seed=i + k).astype(np.float32)) for k in (0, 7))
        expected, found = step(eager, a, b), compiled(a, b)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)
    for name, value in eager.state_dict().items():
        np.testing.assert_allclose(jitted.state_dict()[name].numpy(), value.numpy(), rtol=1e-5)
    assert jitted.num_batches_tracked.item() == 6


def test_statistics_of_frozen_and_evaluated_layers_stay():
    norm = nn.BatchNorm1d(3).eval()
    norm(lucid.randn(4, 3))
    assert norm.num_batches_tracked.item() == 0
    np.testing.assert_array_equal(norm.running_var.numpy(), 1)
    norm.train()(lucid.randn(4, 3))
    norm.reset_running_stats()
    assert norm.num_batches_tracked.item() == 0
    np.testing.assert_array_equal(norm.running_mean.numpy(), 0)


def test_a_refused_batch_changes_no_statistics():
    norm = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="more than one value"):
        norm(lucid.zeros(1, 3))
    np.testing.assert_array_equal(norm.running_mean.numpy(), 0)
    assert norm.num_batches_tracked.item() == 0
