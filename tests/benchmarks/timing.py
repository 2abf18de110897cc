"""Interleaved timing: candidates take turns, and ratios of neighbours are what counts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

Candidates = dict[str, Callable[[], object]]
SLOW = 1.0
PAUSE = 0.02


def interleave(
    candidates: Candidates,
    rounds: int = 15,
    block: float = 0.02,
    summary: Callable[[list[float]], float] = statistics.median,
) -> dict[str, float]:
    """Seconds per call of each candidate: the median over rounds, or another `summary` of them.

    Each round gives every candidate a block of calls of about `block` seconds. Before each is a
    pause of `PAUSE`, since the idle threads of one runtime spin for a while and slow the next one
    down: after 5 ms, whoever follows PyTorch still reads up to a fifth too much.
    A call of more than `SLOW` seconds is timed in one round only. `min` as the summary disregards
    what other programs on the machine add.
    """
    calls = {}
    for name, run in candidates.items():
        run()
        start = time.perf_counter()
        run()
        once = time.perf_counter() - start
        calls[name] = max(1, int(block / max(once, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for i in range(rounds):
        for name, run in candidates.items():
            if i > 0 and times[name][0] > SLOW:
                continue
            time.sleep(PAUSE)
            start = time.perf_counter()
            for _ in range(calls[name]):
                run()
            times[name].append((time.perf_counter() - start) / calls[name])
    return {name: summary(values) for name, values in times.items()}


def geometric_mean(ratios: list[float]) -> float:
    """The mean of ratios."""
    return statistics.geometric_mean(ratios)
