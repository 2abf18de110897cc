"""What is said of a compilation that lasts."""

from __future__ import annotations

import io
import logging
import random
import re
import threading
import time
import types

import jax
import pytest

import lucid
from lucid import nn
from lucid._core import waiting


class Terminal(io.StringIO):
    def isatty(self):
        return True


def show(stream, monkeypatch):
    """Let `stream` be what the module sees as stderr; pytest sets that of Python itself."""
    monkeypatch.setattr(waiting, "sys", types.SimpleNamespace(stderr=stream))


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    show(stream, monkeypatch)
    monkeypatch.setattr(waiting, "PATIENCE", 0.01)
    monkeypatch.delenv("LUCID_PROGRESS", raising=False)
    return stream


def slow(x):
    time.sleep(0.1)  # while it is traced
    return x * 2


SAID = r"compiling slow, 0.01 s so far", r"compiling slow took \d+\.\d s"


def lines(what, stream):
    return [line for line in stream.getvalue().splitlines() if what in line]


def test_a_compilation_that_lasts_is_told_with_its_name_and_its_time(terminal, caplog):
    caplog.set_level(logging.INFO, "lucid")
    lucid.jit(slow)(lucid.ones(2))
    begun, ended = lines("slow", terminal)
    assert re.fullmatch(f"lucid: {SAID[0]}", begun)
    assert re.fullmatch(f"lucid: {SAID[1]}", ended)
    logged = [r for r in caplog.records if "slow" in r.message]
    assert [(r.name, r.levelname) for r in logged] == [("lucid", "INFO")] * 2
    assert all(map(re.fullmatch, SAID, [r.message for r in logged]))


def test_a_compiled_call_says_nothing(terminal):
    compiled, x = lucid.jit(slow), lucid.ones(2)
    compiled(x)
    terminal.truncate(0)
    compiled(x)
    assert terminal.getvalue() == ""


def test_a_compilation_that_is_quick_says_nothing(terminal, monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE", 100.0)
    lucid.jit(slow)(lucid.ones(2))
    assert terminal.getvalue() == ""


def test_an_eager_operation_is_told_by_its_name(terminal):
    lucid.nn.functional.conv2d(lucid.ones(1, 2, 13, 7), lucid.ones(3, 2, 5, 3))
    begun, ended = lines("conv2d", terminal)
    assert begun == "lucid: compiling conv2d, 0.01 s so far"
    assert ended.startswith("lucid: compiling conv2d took ")


@pytest.mark.parametrize("why", ["switched off", "not a terminal", "no console"])
def test_the_log_alone_is_told(terminal, why, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "lucid")
    stream = terminal
    if why == "switched off":
        monkeypatch.setenv("LUCID_PROGRESS", "0")
    else:
        stream = io.StringIO()
        show(stream if why == "not a terminal" else None, monkeypatch)
    lucid.jit(slow)(lucid.ones(2))
    assert stream.getvalue() == ""
    assert len([r for r in caplog.records if "slow" in r.message]) == 2


def test_a_notebook_is_told(terminal, monkeypatch):
    class OutStream(io.StringIO):
        __module__ = "ipykernel.iostream"

    stream = OutStream()
    show(stream, monkeypatch)
    lucid.jit(slow)(lucid.ones(2))
    assert len(lines("slow", stream)) == 2


def test_compilations_inside_a_wait_are_a_part_of_it(terminal):
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU())
    terminal.truncate(0)
    with waiting.waiting("both"):
        lucid.jit(model)(lucid.ones(2, 3))
        lucid.ones(4, 3) * lucid.ones(4, 3)
    assert [line.split()[2].strip(",") for line in terminal.getvalue().splitlines()] == ["both"] * 2


def test_a_wait_that_ends_in_an_error_ends(terminal):
    def fails(x):
        time.sleep(0.05)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lucid.jit(fails)(lucid.ones(2))
    assert len(lines("fails", terminal)) == 2
    lucid.jit(slow)(lucid.ones(2))
    assert len(lines("slow", terminal)) == 2


def test_no_thread_is_left():
    before = threading.enumerate()
    lucid.jit(lambda x: x * 3)(lucid.ones(2, 11))
    assert threading.enumerate() == before


def test_where_no_thread_can_start_programs_are_compiled_all_the_same(terminal, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert lucid.jit(slow)(lucid.ones(2)).tolist() == [2, 2]
    assert terminal.getvalue() == ""


def test_the_end_of_a_compilation_that_began_unheard_counts_for_nothing(terminal):
    jax.monitoring.record_event_duration_secs(waiting.COMPILATION, 1.0, fun_name="unheard")
    lucid.jit(slow)(lucid.ones(2))
    assert len(lines("slow", terminal)) == 2


def test_a_thread_that_speaks_hides_no_draw():
    draw = random.random

    def noisy(x):
        return x * draw()

    with pytest.raises(lucid.JitError, match="a draw from random"):
        lucid.jit(noisy)(lucid.ones(2))
