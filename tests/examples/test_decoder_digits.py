"""The example runs in a reduced setting, and ends in a picture."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")

EXAMPLE = Path(__file__).parents[2] / "examples" / "decoder_digits.py"


def test_the_decoder_learns_and_draws(tmp_path):
    picture = tmp_path / "digits.png"
    run = subprocess.run(
        [sys.executable, EXAMPLE, "--steps", "60", "--batch", "16", "--out", picture],
        capture_output=True,
        text=True,
        check=True,
    )
    first, last = map(float, re.findall(r"loss on held-out .*: +([\d.]+)", run.stdout))
    assert last < 0.6 * first
    assert picture.read_bytes().startswith(b"\x89PNG")
