"""Interrupts at any moment of a compiled step leave its state as before or after the step."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn

X = np.random.default_rng(0).standard_normal((16, 64)).astype("f")


class Trainer:
    """A step with all kinds of state: parameters, buffers, moments, a generator."""

    def __init__(self):
        lucid.random.seed(0)
        self.model = nn.Sequential(
            nn.Linear(64, 64), nn.BatchNorm1d(64), nn.Dropout(0.1), nn.Linear(64, 8)
        )
        self.optimizer = lucid.optim.Adam(self.model.parameters(), lr=1e-3)
        self.x = Tensor(X)
        self.step = lucid.jit(self.imperative)

    def imperative(self):
        self.optimizer.zero_grad()
        loss = (self.model(self.x) ** 2).mean()
        loss.backward()
        self.optimizer.step()
        return loss

    def snapshot(self):
        state = self.model.state_dict()
        moments = self.optimizer.state_dict()["state"]
        values = [v.numpy() for v in state.values()]
        values += [v.numpy() for s in moments.values() for v in s.values()]
        values.append(lucid.random.default_generator().state.numpy())
        return b"".join(v.tobytes() for v in values)


def interrupt_after(seconds, twice):
    """Interrupt the main thread; again and again, since Python drops those within callbacks."""
    main, caught = threading.main_thread().ident, threading.Event()

    def fire():
        signal.pthread_kill(main, signal.SIGINT)
        if twice:
            time.sleep(5e-5)
            signal.pthread_kill(main, signal.SIGINT)
        while not caught.wait(0.5):
            signal.pthread_kill(main, signal.SIGINT)

    timer = threading.Timer(seconds, fire)
    timer.caught = caught
    return timer


def swallow(call):
    """Run `call` until an interrupt comes; a second one may come while the first is handled."""
    while True:
        try:
            try:
                call()
                return
            except KeyboardInterrupt:
                time.sleep(2e-3)
                return
        except KeyboardInterrupt:
            return


def settle(timer):
    """Wait until no interrupt can come any more."""
    while True:
        try:
            timer.caught.set()
            timer.join()
            time.sleep(0.05)
            return
        except KeyboardInterrupt:
            pass


def forever(step):
    while True:
        step()


def test_no_signal_handler_is_installed():
    before = signal.getsignal(signal.SIGINT)
    trainer = Trainer()
    trainer.step(), trainer.step()
    assert signal.getsignal(signal.SIGINT) is before


def run_interrupted(n, seed):
    # What is started in the background may have been told to ignore interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Whatever is imported at the first step is: Python itself can leave a package that an
    # interrupt cuts without its name in its parent.
    Trainer().step()
    rng = random.Random(seed)
    for i in range(n):
        trainer = Trainer()
        start = trainer.snapshot()
        if i % 4:
            trainer.step(), trainer.step()
            start = trainer.snapshot()
        delay = rng.uniform(0.005, 1.2) if i % 4 == 0 else rng.uniform(0.005, 0.015)
        counted = []

        def step(trainer=trainer, counted=counted):
            trainer.step()
            counted.append(None)

        timer = interrupt_after(delay, twice=i % 3 == 0)
        swallow(lambda timer=timer, step=step: (timer.start(), forever(step)))
        settle(timer)
        found = trainer.snapshot()
        # A twin that goes the same number of whole steps, or one more: the one under way.
        twin = Trainer()
        if i % 4:
            twin.step(), twin.step()
        assert twin.snapshot() == start
        for _ in counted:
            twin.step()
        before = twin.snapshot()
        twin.step()
        assert found in (before, twin.snapshot()), f"interrupt {i} left a state of no step"
        assert np.isfinite(trainer.step().item())


def in_a_process(n, seed):
    """Interrupts meant for a step end no test run if they come late."""
    call = f"run_interrupted({n}, {seed})"
    root = str(Path(lucid.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", f"from tests._core.jit.test_interrupts import *; {call}"],
        cwd=root, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True,
        check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_interrupts():
    in_a_process(8, seed=1)


def test_an_exception_leaves_the_state_as_before():
    trainer = Trainer()
    fails = True

    def step():
        loss = trainer.imperative()
        if fails:
            raise ValueError("the user's mistake")
        return loss

    before = trainer.snapshot()
    jitted = lucid.jit(step)
    for _ in range(2):
        with pytest.raises(ValueError, match="the user's mistake"):
            jitted()
        assert trainer.snapshot() == before
        assert all(p.grad is None for p in trainer.model.parameters())
    fails = False
    assert np.isfinite(jitted().item())
