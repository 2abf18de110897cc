"""Programs that JAX keeps on disk serve the next process, whatever the seed of its hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lucid

SCRIPT = """
import collections, jax, lucid
from lucid import nn

seen = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: seen.update([event.rpartition("/")[2]]))
model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ConvTranspose2d(2, 1, 3))
optimizer = lucid.optim.Adam(model.parameters(), lr=0.1)

def step(x):
    optimizer.zero_grad()
    loss = model(nn.functional.dropout(x)).square().mean()
    loss.backward()
    optimizer.step()

step(lucid.ones(2, 1, 5, 5))
lucid.jit(step)(lucid.ones(2, 1, 5, 5))
print(seen["cache_misses"], seen["cache_hits"])
"""


@pytest.mark.slow
def test_a_second_run_compiles_nothing(tmp_path):
    counts = []
    for seed in ("1", "2"):
        environment = os.environ | {
            "PYTHONPATH": str(Path(lucid.__file__).parent.parent),
            "PYTHONHASHSEED": seed,
            "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        counts.append([int(n) for n in done.stdout.split()])
    (missed, _), again = counts
    assert missed > 10
    assert again[0] == 0 and again[1] >= missed
