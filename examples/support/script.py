"""What the scripts have in common: their flags, and a progress bar around their steps."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from tqdm import trange

from lucid import Tensor


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return int(text)


def new_file(text: str) -> Path:
    """A path where a file can be written; asked before work begins."""
    path = Path(text)
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} cannot be written")
    return path


def flags(
    about: str, steps: int, batch: int, out: str, result: str = "the picture"
) -> argparse.ArgumentParser:
    """The flags that all scripts take, with their defaults."""
    parser = argparse.ArgumentParser(
        description=about.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--steps", type=positive, default=steps, help="training steps")
    parser.add_argument("--batch", type=positive, default=batch, help="examples in a step")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers")
    parser.add_argument("--out", type=new_file, default=Path(out), help=result)
    return parser


def train(steps: int, step: Callable[[], Tensor]) -> None:
    """Call `step` so many times and show its loss; Ctrl-C ends the training, not the script."""
    progress = trange(steps, unit="step")
    try:
        for i in progress:
            loss = step()
            if i == 0:
                progress.unpause()  # the rate counts no compilation
            progress.set_postfix(loss=f"{loss.item():.4f}")
    except KeyboardInterrupt:
        progress.close()
        print(f"stopped after {progress.n} of {steps} steps")
