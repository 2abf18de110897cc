"""A training that is killed again and again ends bit for bit as one that is not."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import lucid

ROOT = Path(lucid.__file__).parent.parent

# At the step `fatal` a timer of up to 20 ms is set that kills the process wherever it then is. The
# last step leaves no checkpoint, so that a resumed process always has a step to be killed at.
SCRIPT = """
import os, random, signal, sys, threading
import numpy as np
import lucid
from lucid import nn, optim
from lucid.nn import functional as F

path, last, fatal = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

rng = np.random.default_rng(0)
inputs = rng.standard_normal((48, 6)).astype("f")
targets = np.tanh(inputs @ rng.standard_normal((6, 2)).astype("f"))
dataset = lucid.data.TensorDataset(inputs, targets, np.arange(48))

resumed = os.path.exists(path)
if not resumed:
    lucid.random.seed(1)  # a resumed process begins from a random seed and random parameters
model = nn.Sequential(
    nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2)
)
optimizer = optim.Adam(model.parameters(), lr=0.02)
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.7)
loader = lucid.data.DataLoader(dataset, batch_size=8, shuffle=True)
parts = {
    "model": model, "optimizer": optimizer, "scheduler": scheduler, "loader": loader,
    "generator": lucid.random.default_generator(),
}
step, order, losses = 0, [], []

if resumed:
    checkpoint = lucid.load(path)
    for name, part in parts.items():
        part.load_state_dict(checkpoint[name])
    step, order, losses = checkpoint["step"], checkpoint["order"], checkpoint["losses"]
print(step, flush=True)


def save(path):
    states = {name: part.state_dict() for name, part in parts.items()}
    lucid.save({**states, "step": step, "order": order, "losses": losses}, path)


@lucid.jit
def train(x, y):
    optimizer.zero_grad()
    loss = F.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


killer = None
while step < last:
    for x, y, number in loader:
        if killer is None and step >= fatal:
            delay = random.uniform(0, 0.02)
            killer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL))
            killer.start()
        losses.append(train(x, y).item())
        order += number.tolist()
        step += 1
        if step % 4 == 0 and step < last:
            save(path)
        if step == last:
            break
    else:
        scheduler.step()
if killer is not None:
    killer.join()
save(sys.argv[4])
"""


def start(checkpoint, last, fatal, final):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, checkpoint, str(last), str(fatal), final],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process):
    """The exit code, and the step that the process began from."""
    out, err = process.communicate(timeout=120)
    assert err == ""
    return process.returncode, int(out)


@pytest.mark.slow
def test_a_killed_training_ends_as_one_that_was_not(tmp_path):
    last = 52  # steps, six to an epoch
    fatal = sorted(random.sample(range(4, last), 4))
    whole, pieces = tmp_path / "whole.npz", tmp_path / "pieces.npz"
    undisturbed = start(tmp_path / "a.npz", last, last, whole)
    begun = []
    for step in fatal:
        code, first = finish(start(tmp_path / "b.npz", last, step, pieces))
        assert code == -signal.SIGKILL
        assert not pieces.exists()
        begun.append(first)
    code, first = finish(start(tmp_path / "b.npz", last, last, pieces))
    assert code == 0
    assert begun[0] == 0 and first > 0
    assert finish(undisturbed) == (0, 0)

    expected, found = (jax.tree.flatten_with_path(lucid.load(p)) for p in (whole, pieces))
    assert expected[1] == found[1]
    different = [
        jax.tree_util.keystr(path)
        for (path, a), (_, b) in zip(expected[0], found[0], strict=True)
        if np.asarray(a).dtype != np.asarray(b).dtype or not np.array_equal(a, b)
    ]
    assert different == [], f"killed at {fatal}, begun at {begun}"
    state = lucid.load(pieces)
    assert state["step"] == last
    assert sorted(state["order"][:48]) == list(range(48))
    assert state["losses"][-1] < state["losses"][0]
