"""What the scripts have in common: their flags, and a progress bar around their steps."""

from __future__ import annotations

import argparse
import contextlib
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


def rate(text: str) -> float:
    """A number above 0."""
    if not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return float(text)


def share(text: str) -> float:
    """A number from 0 to below 1."""
    if not 0 <= float(text) < 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to below 1, got {text}")
    return float(text)


def new_file(text: str) -> Path:
    """A path where a file can be written; asked before work begins."""
    path = Path(text)
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} cannot be written")
    return path


def new_folder(text: str) -> Path:
    """A folder, present or not yet, that can be written to; asked before work begins."""
    path = Path(text)
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
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
    parser.add_argument("--log", type=new_file, help="a CSV file of the loss of each step")
    return parser


def train(steps: int, step: Callable[[], Tensor], log: Path | None = None) -> None:
    """Call `step` so many times and show its loss; Ctrl-C ends the training, not the script."""
    progress = trange(steps, unit="step")
    with open(log or os.devnull, "w") as table, contextlib.suppress(KeyboardInterrupt):
        print("step,loss", file=table)
        for i in progress:
            loss = step().item()
            if i == 0:
                progress.unpause()  # the rate counts no compilation
            progress.set_postfix(loss=f"{loss:.4f}")
            print(f"{i},{loss}", file=table, flush=True)
    if progress.n < steps:
        progress.close()
        print(f"stopped after {progress.n} of {steps} steps")
