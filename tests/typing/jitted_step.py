"""A compiled step, as a user writes it."""

from __future__ import annotations

import lucid
import lucid.nn as nn
import lucid.nn.functional as F
from lucid import Tensor, optim

model = nn.Linear(4, 1)
optimizer = optim.SGD(model.parameters(), lr=0.1)


@lucid.jit
def step(x: Tensor, y: Tensor) -> Tensor:
    """One step of training."""
    optimizer.zero_grad()
    loss = F.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


@lucid.jit(donate=True)
def predict(x: Tensor, *, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """The output, and its scale."""
    return model(x), Tensor(scale)


def main() -> Tensor:
    """Both, and a compiled Module."""
    loss = step(lucid.ones(2, 4), lucid.ones(2, 1))
    output, scale = predict(lucid.ones(2, 4), scale=2.0)
    return loss + output + scale + lucid.jit(model)(lucid.ones(2, 4))
