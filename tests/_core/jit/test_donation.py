"""Buffers that compiled functions reuse, and those that must stay alive."""

from __future__ import annotations

import copy

import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests._core.jit.models import X, sgd, train


def pointer(tensor):
    """Where the values lie; to ask for `data` would hand the array out."""
    return tensor._data.unsafe_buffer_pointer()


def test_buffers_are_reused():
    model = nn.Linear(64, 64)
    step = lucid.jit(train(model, sgd(model, momentum=0.9)))
    x = lucid.ones(2, 64)
    step(x)
    old = pointer(model.weight)
    step(x)
    assert pointer(model.weight) == old


def test_without_donation_they_are_not():
    w = Tensor(np.ones(64, np.float32))

    @lucid.jit(donate=False)
    def double():
        w.data = (w * 2).data

    double()
    old = pointer(w)
    double()
    assert pointer(w) != old


def test_aliases_of_donated_buffers_stay_alive_and_right():
    model = nn.Linear(3, 2)
    average = copy.deepcopy(model)
    step = lucid.jit(train(model, sgd(model, momentum=0.9)))
    start = model.weight.numpy()
    snapshots = []
    first = model.weight.data
    for _ in range(6):
        snapshots.append((model.weight.detach(), model.bias.data, model.state_dict()))
        copies = model.weight.numpy(), model.bias.numpy()
        snapshots[-1] += copies
        step(Tensor(X))
    step(Tensor(X))
    for detached, data, saved, weight, bias in snapshots:
        np.testing.assert_array_equal(detached.numpy(), weight)
        np.testing.assert_array_equal(np.asarray(data), bias)
        np.testing.assert_array_equal(saved["weight"].numpy(), weight)
    np.testing.assert_array_equal(np.asarray(first), start)
    np.testing.assert_array_equal(average.weight.numpy(), start)


@pytest.mark.parametrize("export", [
    np.from_dlpack,
    np.asarray,
    lambda w: np.from_dlpack(w.data),
    lambda w: np.asarray(w.detach())[1:],
    lambda w: np.frombuffer(memoryview(w.data), np.float32),
    lambda w: jnp.from_dlpack(w),
], ids=["from_dlpack", "asarray", "data", "slice", "memoryview", "jax"])  # fmt: skip
def test_exported_memory_keeps_its_values(export):
    model = nn.Linear(64, 64)
    step = lucid.jit(train(model, sgd(model, momentum=0.9)))
    x = lucid.random.randn(2, 64)
    step(x)
    step(x)  # from here on the memory is reused, as the test above shows
    view = export(model.weight)
    # In the memory of the parameter; the slice begins one row of 64 numbers later.
    at = view.unsafe_buffer_pointer() if isinstance(view, jnp.ndarray) else view.ctypes.data
    assert at - pointer(model.weight) in (0, 4 * 64)
    before, start = np.array(view), model.weight.numpy()
    for _ in range(3):
        step(x)
    np.testing.assert_array_equal(view, before)
    assert np.abs(model.weight.numpy() - start).max() > 0
    # After a step that copied what was read, the memory is reused again.
    del view
    step(x)
    old = pointer(model.weight)
    step(x)
    assert pointer(model.weight) == old


def test_imported_memory_is_not_overwritten():
    memory = np.empty(64 * 4 + 64, np.uint8)
    source = memory[-memory.ctypes.data % 64 :][: 64 * 4].view(np.float32)
    source[:] = np.random.default_rng(1).standard_normal(64)
    before = source.copy()
    w = lucid.from_dlpack(source)
    assert pointer(w) == source.ctypes.data

    @lucid.jit
    def double():
        w.data = (w * 2).data

    for _ in range(3):
        double()
    np.testing.assert_array_equal(source, before)
    np.testing.assert_array_equal(w.numpy(), 8 * before)


def test_two_tensors_that_share_a_buffer():
    a = Tensor([1.0, 2.0])
    b = a.detach()

    @lucid.jit
    def write():
        a.data = (a * 2).data
        b.data = (b * 3).data

    write()
    assert (a.tolist(), b.tolist()) == ([2.0, 4.0], [3.0, 6.0])
    b.data = a.data
    write()
    assert (a.tolist(), b.tolist()) == ([4.0, 8.0], [6.0, 12.0])
    alias = lucid.jit(lambda: a.data)()  # an output that is state as it is
    write()
    assert alias.tolist() == [4.0, 8.0]


def test_an_argument_that_is_the_buffer_of_a_written_tensor():
    total = Tensor([1.0])

    @lucid.jit
    def add(x):
        total.data = (total + x).data

    add(total.detach())
    add(total.data)
    assert total.item() == 4.0


def test_written_data_and_a_result_of_the_same_value_are_independent():
    total = Tensor([0.0])

    @lucid.jit
    def count():
        total.data = (total + 1).data
        return total.detach()

    assert [y.item() for y in [count() for _ in range(4)]] == [1.0, 2.0, 3.0, 4.0]


def test_values_that_a_failed_step_took_are_missed_with_a_sentence():
    model = nn.Linear(3, 2)
    step = lucid.jit(train(model, sgd(model)))
    step(Tensor(X)), step(Tensor(X))
    model.weight._data.delete()  # as an execution that fails leaves it
    text = "were given to a compiled step that failed .* Load the last checkpoint"
    for read in (
        lambda: model.weight.numpy(),
        lambda: model(Tensor(X)),
        lambda: model.state_dict(),
        lambda: repr(model.weight),
        lambda: step(Tensor(X)),
    ):
        with pytest.raises(RuntimeError, match=text):
            read()
    model.load_state_dict(nn.Linear(3, 2).state_dict())
    assert np.isfinite(step(Tensor(X)).item())
