"""Grad mode: what switches recording on and off, and in which thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

import lucid
from tests.helpers import leaf


def test_no_grad_and_enable_grad_nest():
    x = leaf(2)
    with lucid.no_grad():
        assert not (x * 2).requires_grad
        with lucid.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_grad_mode_is_restored_after_an_error():
    with pytest.raises(ZeroDivisionError), lucid.no_grad():
        _ = 1 / 0
    assert lucid.grad_enabled()

    @lucid.no_grad()
    def fails():
        _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fails()
    assert lucid.grad_enabled()


def test_grad_modes_decorate():
    x = leaf(2)

    @lucid.no_grad()
    def plain(y, depth=0):
        """Doubles."""
        assert not lucid.grad_enabled()
        if depth:
            plain(y, depth - 1)
        assert not lucid.grad_enabled()
        return y * 2

    assert not plain(x, depth=2).requires_grad
    assert (plain.__name__, plain.__doc__) == ("plain", "Doubles.")
    assert lucid.grad_enabled()
    with lucid.no_grad():
        assert lucid.enable_grad()(lambda: x * 2)().requires_grad


def test_set_grad_enabled():
    x = leaf(2)
    lucid.set_grad_enabled(False)
    try:
        assert not (x * 2).requires_grad
    finally:
        lucid.set_grad_enabled(True)
    with lucid.set_grad_enabled(False):
        with lucid.set_grad_enabled(True):
            assert (x * 2).requires_grad
        assert not lucid.grad_enabled()
    assert lucid.grad_enabled()

    @lucid.set_grad_enabled(False)
    def plain():
        return x * 2

    assert lucid.grad_enabled()
    assert not plain().requires_grad
    assert not plain().requires_grad
    assert lucid.grad_enabled()
    unrecorded = lucid.set_grad_enabled(False)
    functions = [unrecorded(lambda: x * 2), unrecorded(lambda: x * 3)]
    assert lucid.grad_enabled()
    assert not any(function().requires_grad for function in functions)


def test_one_grad_mode_object_is_reusable():
    off = lucid.no_grad()
    for _ in range(2):
        with off, off:
            assert not lucid.grad_enabled()
        assert lucid.grad_enabled()


def test_threads_have_their_own_grad_mode():
    seen = {}
    inside, done = threading.Event(), threading.Event()

    def work():
        seen["at start"] = lucid.grad_enabled()
        with lucid.no_grad():
            inside.set()
            done.wait(10)
            seen["inside"] = lucid.grad_enabled()

    with lucid.no_grad():
        thread = threading.Thread(target=work)
        thread.start()
        assert inside.wait(10)
    assert lucid.grad_enabled()
    done.set()
    thread.join(10)
    assert seen == {"at start": True, "inside": False}


@pytest.mark.parametrize("mode", [lucid.no_grad, lambda: lucid.set_grad_enabled(False)])
def test_a_generator_is_in_the_mode_in_its_own_steps_only(mode):
    seen = []

    @mode()
    def steps(n):
        """Doc."""
        for i in range(n):
            seen.append(lucid.grad_enabled())
            try:
                seen.append((yield i))
            except KeyError:
                seen.append(lucid.grad_enabled())
        return "end"

    assert steps.__doc__ == "Doc."
    running = steps(3)
    assert (next(running), lucid.grad_enabled()) == (0, True)
    assert (running.send("sent"), lucid.grad_enabled()) == (1, True)
    assert (running.throw(KeyError()), lucid.grad_enabled()) == (2, True)
    with pytest.raises(StopIteration) as end:
        next(running)
    assert end.value.value == "end"
    assert seen == [False, "sent", False, False, False, None]
    abandoned = steps(2)
    next(abandoned)
    abandoned.close()
    assert lucid.grad_enabled()


def test_coroutines_that_take_turns_keep_their_own_modes():
    seen = []

    @lucid.no_grad()
    async def quiet():
        for _ in range(3):
            seen.append(("quiet", lucid.grad_enabled()))
            await asyncio.sleep(0)

    async def loud():
        for _ in range(3):
            seen.append(("loud", lucid.grad_enabled()))
            await asyncio.sleep(0)

    @lucid.no_grad()
    async def stream():
        for i in range(2):
            seen.append(("quiet", lucid.grad_enabled()))
            await asyncio.sleep(0)
            yield i

    async def both():
        await asyncio.gather(quiet(), loud())
        seen.extend([("loud", lucid.grad_enabled()) async for _ in stream()])
        stopped = stream()
        await stopped.asend(None)
        await stopped.aclose()

    asyncio.run(both())
    assert lucid.grad_enabled()
    assert set(seen) == {("quiet", False), ("loud", True)}
