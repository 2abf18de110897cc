"""What a user writes, under the strictest settings of the type checkers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import lucid
import lucid.nn as nn
import lucid.nn.functional as F
from lucid import Tensor, optim
from lucid.data import DataLoader, TensorDataset, random_split


class Decoder(nn.Module):
    """A linear map, an image of it, and a normalization that the user chooses."""

    def __init__(self, latent: int, channels: int = 8) -> None:
        super().__init__()
        self.project = nn.Linear(latent, channels * 16)
        self.blocks = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1)])
        self.head = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, 1, kernel_size=4, stride=2, padding=1),
        )
        self.scale = nn.Parameter(np.ones(1))
        self.channels = channels

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu(self.project(z)).reshape(-1, self.channels, 4, 4)
        for block in self.blocks:
            x = F.leaky_relu(block(x), 0.2)
        image = lucid.tanh(self.head(x)) * self.scale
        return F.dropout(image, 0.1, training=self.training)


def data(size: int) -> TensorDataset:
    """Noise, and what it shall become."""
    noise = Tensor.randn(size, 4)
    images = lucid.zeros(size, 1, 8, 8) + noise.mean(axis=1)[:, None, None, None]
    return TensorDataset(noise, images)


def evaluate(model: Decoder, loader: DataLoader) -> float:
    """The mean error."""
    model.eval()
    losses: list[float] = []
    with lucid.no_grad():
        for noise, image in loader:
            losses.append(float(F.mse_loss(model(noise), image)))
    model.train()
    return sum(losses) / len(losses)


def main(path: Path, epochs: int = 1) -> float:
    """Train, save, load."""
    lucid.random.seed(0)
    model = Decoder(latent=4)
    train, test = random_split(data(32), [0.75, 0.25], seed=0)
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    schedule = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    loader = DataLoader(train, batch_size=8, shuffle=True)
    for _ in range(epochs):
        for noise, image in loader:
            optimizer.zero_grad()
            difference = model(noise) - image
            loss = (difference**2).sum(axis=(1, 2, 3)).mean() + 0.1 * difference.abs().max()
            loss.backward()
            nn.utils.clip_grad_norm(model.parameters(), 1.0)
            optimizer.step()
        schedule.step()
    values, places = model.project.weight.reshape(-1).topk(3)
    print(values.shape, places.tolist(), optimizer.param_groups[0]["lr"])
    (gradient,) = [p.grad for p in [model.scale]]
    assert gradient is not None and gradient.shape == (1,)
    lucid.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    saved = lucid.load(path)
    copy = Decoder(latent=4).to("float32")
    copy.load_state_dict(saved["model"])
    return evaluate(copy, DataLoader(test, batch_size=4))
