"""Tools that look into functions."""

from __future__ import annotations

import lucid
from lucid import nn


def test_cost():
    a = lucid.ones(16, 32)
    cost = lucid.utils.cost(lambda x: x @ x.T, a)
    assert 2 * 16 * 16 * 32 <= cost.flops < 3 * 16 * 16 * 32
    assert cost.bytes_accessed >= 4 * (16 * 32 + 16 * 16) and cost.temporary_bytes >= 0
    model = nn.Linear(32, 8)
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)

    @lucid.jit
    def step(x):
        (model(x) ** 2).mean().backward()
        optimizer.step()

    before = model.weight.numpy()
    forward, whole = lucid.utils.cost(model, a), lucid.utils.cost(step, a)
    assert whole.flops > 1.5 * forward.flops > 0
    assert (model.weight.numpy() == before).all() and model.weight.grad is None
