"""What a user waits for first: import, construction, the first step; in fresh processes.

    python tests/benchmarks/first_contact.py [--against OLD_CHECKOUT] [--rounds 3]

Needs the `benchmark` extra. Each figure is the least of some processes that take turns, in seconds
of the clock, since what else runs on the machine only adds to it. `--against` names a checkout of
an older lucid, which takes its turns too. No program is kept between processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent

_LUCID = """
import json, sys, time
start = time.perf_counter()
import jax
jax_imported = time.perf_counter() - start
sys.path.insert(0, {benchmarks!r})
import numpy as np
start = time.perf_counter()
import lucid
from lucid import nn, optim
found = {{"import, beyond JAX": time.perf_counter() - start, "import of JAX": jax_imported}}
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **kw: compiled.append(event) if "backend_compile" in event else None)
from networks import {network}
start = time.perf_counter()
model = {network}(nn)
jax.block_until_ready([p.data for p in model.parameters()])
found["construct"] = time.perf_counter() - start
found["programs to construct"] = len(compiled)
start = time.perf_counter()
jax.block_until_ready([p.data for p in {network}(nn).parameters()])
found["construct again"] = time.perf_counter() - start
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
def step(x, y):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss
x = lucid.tensor(np.random.default_rng(0).standard_normal((8, 3, 64, 64)).astype("float32"))
y = lucid.tensor(np.arange(8))
run = lucid.jit(step) if {jitted} else step
start = time.perf_counter()
run(x, y).item()
found["first {how} step"] = time.perf_counter() - start
times = []
for _ in range(3):
    start = time.perf_counter()
    run(x, y).item()
    times.append(time.perf_counter() - start)
found["{how} step"] = min(times)
print(json.dumps(found))
"""

_TORCH = """
import json, sys, time
sys.path.insert(0, {benchmarks!r})
import torch
from networks import {network}
start = time.perf_counter()
{network}(torch.nn)
found = {{"construct": time.perf_counter() - start}}
start = time.perf_counter()
{network}(torch.nn)
found["construct again"] = time.perf_counter() - start
print(json.dumps(found))
"""

_NNX = """
import json, sys, time
sys.path.insert(0, {benchmarks!r})
from nnx_networks import resnet50_step
start = time.perf_counter()
step = resnet50_step(8, 64)
found = {{"construct": time.perf_counter() - start}}
times = []
for _ in range(4):
    start = time.perf_counter()
    step()
    times.append(time.perf_counter() - start)
found["first jitted step"], found["jitted step"] = times[0], min(times[1:])
print(json.dumps(found))
"""


def measured(code: str, checkout: Path) -> dict[str, float]:
    """The figures that a fresh process prints, which imports lucid from `checkout`."""
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    environment["PYTHONPATH"] = str(checkout)
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        cwd=checkout,
        env=environment,
        check=True,
    )
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="a checkout of an older lucid")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    checkouts = {"lucid": HERE.parent.parent}
    if options.against is not None:
        checkouts["older"] = options.against.resolve()
    figures: dict[str, dict[str, float]] = defaultdict(dict)

    def note(who: str, found: dict[str, float]) -> None:
        for what, value in found.items():
            figures[what][who] = min(value, figures[what].get(who, value))

    text = {"benchmarks": str(HERE), "network": "resnet50"}
    for _ in range(options.rounds):
        for jitted, how in ((True, "jitted"), (False, "eager")):
            for who, checkout in checkouts.items():
                note(who, measured(_LUCID.format(jitted=jitted, how=how, **text), checkout))
        note("PyTorch", measured(_TORCH.format(**text), HERE))
        note("Flax NNX", measured(_NNX.format(**text), HERE))
    names = [*checkouts, "PyTorch", "Flax NNX"]
    print("ResNet-50, batch 8, 64 x 64; seconds")
    print(f"{'':<28}" + "".join(f"{name:>10}" for name in names))
    for what, values in figures.items():
        row = "".join(f"{values[n]:>10.2f}" if n in values else f"{'':>10}" for n in names)
        print(f"{what:<28}{row}")


if __name__ == "__main__":
    main()
