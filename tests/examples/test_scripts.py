"""Each script learns in a reduced setting, and ends in a picture."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "script, flags, figure, learned",
    [
        (
            "decoder_digits",
            ["--steps", "60", "--batch", "16"],
            "loss on held-out digits",
            lambda first, last: last < 0.6 * first,
        ),
        (
            "unet_segmentation",
            ["--steps", "40", "--batch", "8"],
            "mean IoU on held-out images",
            lambda first, last: first < 0.2 and last > 0.25,  # the ground alone: under 0.2
        ),
        (
            "vae_digits",
            ["--steps", "60", "--batch", "16"],
            "ELBO on held-out digits",
            lambda first, last: last > 0.8 * first,  # of a negative number
        ),
        (
            "waveform_decoder",
            ["--steps", "60", "--batch", "4"],
            "spectral error on held-out sounds",
            lambda first, last: last < 0.8 * first,
        ),
    ],
)
def test_a_script_learns_and_draws(script, flags, figure, learned, tmp_path):
    picture = tmp_path / "picture.png"
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{script}.py", *flags, "--out", picture],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            # Compiling takes most of the time of so few steps.
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        },
    )
    first, last = map(float, re.findall(rf"{figure} at the .*: +(-?[\d.]+)", run.stdout))
    assert learned(first, last), run.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
