"""How far generated digits are from real ones, as a small classifier sees them.

It stands in for the Inception network of the FID: its features give a Frechet distance, its
decisions the classes that the samples cover.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import Tensor, nn, optim

CONFIDENT = 0.9  # a sample is recognised from this probability on
SHARE = 0.02  # a class is covered if so many of the samples are recognised as it


class Score(NamedTuple):
    """What a set of images is worth."""

    distance: float  # Frechet distance of the features to those of the held-out digits
    recognised: float  # share of images that the classifier is sure of
    classes: int  # classes that are covered


class Classifier(nn.Module):
    """(N, 1, 32, 32) -> logits (N, 10), by way of 32 features."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, kernel_size=4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 8 * 8, 32),
            nn.ReLU(),
        )
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits."""
        features = self.body(x)
        return features, self.head(features)


class Judge:
    """A classifier trained on real digits, which scores images against held-out real ones.

    Args:
        images, labels: real digits to train on, (N, 1, 32, 32) in [-1, 1] and (N,).
        held_out, held_out_labels: real digits to compare with.
        steps, batch: of the classifier's training.
        seed: of its batches; its initial values are drawn from the default generator.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        held_out: np.ndarray,
        held_out_labels: np.ndarray,
        steps: int = 300,
        batch: int = 64,
        seed: int = 0,
    ) -> None:
        model = Classifier()
        optimizer = optim.Adam(model.parameters(), lr=2e-3)

        @lucid.jit
        def train_step(x: Tensor, y: Tensor) -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x)[1], y)
            loss.backward()
            optimizer.step()
            return loss

        rng = np.random.default_rng(seed)
        for _ in range(steps):
            at = rng.integers(len(images), size=batch)
            train_step(images[at], labels[at])

        self._model = model
        self._real, probabilities = self._see(held_out)
        self.accuracy = float((probabilities.argmax(1) == held_out_labels).mean())

    def score(self, images: np.ndarray) -> Score:
        """The distance of `images` to the held-out digits, and what they show."""
        features, probabilities = self._see(images)
        decided = probabilities.argmax(1)[probabilities.max(1) >= CONFIDENT]
        shares = np.bincount(decided, minlength=10) / len(images)
        distance = frechet_distance(self._real, features)
        return Score(distance, float(shares.sum()), int((shares >= SHARE).sum()))

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The most probable class of each image."""
        return self._see(images)[1].argmax(1)

    def _see(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with lucid.no_grad():
            features, logits = self._model(Tensor(images))
            return features.numpy(), F.softmax(logits, axis=1).numpy()


def nearest(images: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each image the one of `among` with the least squared difference, pixel by pixel."""
    return np.stack(
        [among[((among - image) ** 2).sum(axis=(1, 2, 3)).argmin()] for image in images]
    )


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)); Heusel et al., arXiv:1706.08500.

    Args:
        a, b: features, (N, F) each, of which means m and covariances C are taken.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    mean = a.mean(0) - b.mean(0)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # C_a C_b and the symmetric C_a^(1/2) C_b C_a^(1/2) have the same eigenvalues.
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    eigenvalues = np.linalg.eigvalsh(root @ cov_b @ root)
    trace = np.trace(cov_a) + np.trace(cov_b) - 2 * np.sqrt(eigenvalues.clip(0)).sum()
    return float(mean @ mean + trace)
