"""Running statistics: when they move, and when they stay."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
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


def state(norm):
    return {name: value.tolist() for name, value in norm.state_dict().items()}


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("layer", [nn.BatchNorm2d, nn.InstanceNorm2d])
def test_an_empty_batch_is_no_batch(layer, momentum):
    with_empty, without = layer(2, momentum=momentum), layer(2, momentum=momentum)
    for i, n in enumerate((3, 0, 2)):
        x = spaced(n, 2, 3, 3, seed=i).astype(np.float32)
        assert with_empty(Tensor(x)).shape == x.shape
        if n:
            without(Tensor(x))
    assert state(with_empty) == state(without)
    mean, var = lucid.ones(2), lucid.ones(2)
    F.batch_norm(lucid.zeros(0, 2, 3), mean, var)
    F.instance_norm(lucid.zeros(2, 2, 0), mean, var)
    assert mean.tolist() == var.tolist() == [1, 1]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("layer", [nn.BatchNorm1d, nn.InstanceNorm1d])
def test_track_running_stats_can_be_set_later(layer, compiled):
    norm, own = layer(3), layer(3, track_running_stats=False)
    call = lucid.jit(norm) if compiled else norm
    x, y = (Tensor(spaced(4, 3, 5, seed=seed).astype(np.float32)) for seed in (0, 1))
    call(x)
    before = state(norm)
    norm.track_running_stats = False
    np.testing.assert_allclose(call(y).numpy(), own(y).numpy(), atol=1e-6)
    assert state(norm) == before
    if layer is nn.InstanceNorm1d:  # BatchNorm evaluates with the statistics that there are
        norm.eval()
        np.testing.assert_allclose(call(y).numpy(), own(y).numpy(), atol=1e-6)
    norm.train().track_running_stats = True
    call(y)
    assert norm.num_batches_tracked.item() == 2
    own.track_running_stats = True
    own(x)
    assert set(state(own)) == {"weight", "bias"}
