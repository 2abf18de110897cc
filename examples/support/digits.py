"""scikit-learn's handwritten digits, as the examples draw them."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits


def digits_at_32x32() -> np.ndarray:
    """All 1797 digits, (N, 1, 32, 32) in [0, 1]: each 8x8 image enlarged bilinearly."""
    images = load_digits().images / 16
    at = np.clip((np.arange(32) + 0.5) / 4 - 0.5, 0, 7)
    low = np.minimum(at.astype(int), 6)
    weights = np.zeros((32, 8))
    weights[np.arange(32), low] = 1 - (at - low)
    weights[np.arange(32), low + 1] = at - low
    return (weights @ images @ weights.T)[:, None].astype(np.float32)


def split_digits(held_out: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training digits in [-1, 1], their labels, and the same of `held_out` others.

    Which ones are held out is the same every time.
    """
    images, labels = 2 * digits_at_32x32() - 1, load_digits().target.astype(np.int32)
    order = np.random.default_rng(0).permutation(len(images))
    train, rest = order[:-held_out], order[-held_out:]
    return images[train], labels[train], images[rest], labels[rest]
