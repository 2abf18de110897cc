"""Python variables that a compiled function reads, itself or through what it calls."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import threading

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import count_compiles

SCALE = 1.0
X = Tensor([1.0])


class Config:
    scale = 1.0


def times(x):
    return x * SCALE


def deeper(x):
    return times(x)


class Plain:
    def __call__(self, x):
        return times(x)

    def method(self, x):
        return times(x)


class Layer(nn.Module):
    def forward(self, x):
        return times(x)


FUNCTIONS = [deeper]
BY_NAME = {"deeper": deeper}
LAYER, PLAIN = Layer(), Plain()


def nested(x):
    def inner(y):
        return y * SCALE

    return inner(x)


READERS = {
    "itself": lambda x: x * SCALE,
    "a helper": lambda x: times(x),
    "a helper's helper": lambda x: deeper(x),
    "a list": lambda x: FUNCTIONS[0](x),
    "a dictionary": lambda x: BY_NAME["deeper"](x),
    "a method": lambda x: PLAIN.method(x),
    "a callable object": lambda x: PLAIN(x),
    "a Module": lambda x: LAYER(x),
    "a nested function": nested,
    "map": lambda x: next(map(times, [x])),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_global_that_is_read_somewhere(reader, monkeypatch):
    fn = lucid.jit(reader)
    assert fn(X).item() == 1.0
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert fn(X).item() == 5.0
    with count_compiles(0):
        assert fn(X).item() == 5.0
    monkeypatch.setitem(globals(), "SCALE", 1.0)
    with count_compiles(0):  # the first program fits again
        assert fn(X).item() == 1.0
    assert fn.cache_info().misses == 2


def test_attributes_of_classes_and_modules(tmp_path, monkeypatch):
    path = tmp_path / "user_config.py"
    path.write_text("SCALE = 1.0\n")
    spec = importlib.util.spec_from_file_location("user_config", path)
    config = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(config)
    monkeypatch.setitem(globals(), "user_config", config)
    fn = lucid.jit(lambda x: x * Config.scale * user_config.SCALE)  # noqa: F821
    assert fn(X).item() == 1.0
    monkeypatch.setattr(Config, "scale", 2.0)
    assert fn(X).item() == 2.0
    config.SCALE = 3.0
    assert fn(X).item() == 6.0


def test_closures_of_helpers():
    scale = 1.0

    def helper(x):
        return x * scale

    @lucid.jit
    def fn(x):
        return helper(x)

    assert fn(X).item() == 1.0
    scale = 4.0
    assert fn(X).item() == 4.0


def test_what_lists_hold_is_not_watched():
    scales = [1.0]
    fn = lucid.jit(lambda x: x * scales[0])
    fn(X)
    scales[0] = 2.0
    assert fn(X).item() == 1.0 and fn.cache_info().misses == 1


COUNT = 0


def counts(x):
    global COUNT
    COUNT += 1
    return x + COUNT


def test_an_assigned_global_is_refused_and_put_back():
    with pytest.raises(lucid.JitError, match=r"test_watch.py:\d+: `COUNT \+= 1`: the variable "
                       r'"COUNT" was set inside a compiled function'):  # fmt: skip
        lucid.jit(lambda x: counts(x))(X)
    assert COUNT == 0


def test_an_assigned_closure_variable_is_refused():
    count = 0

    def fn(x):
        nonlocal count
        count += 1
        return x + count

    with pytest.raises(lucid.JitError, match='the variable "count" was set'):
        lucid.jit(fn)(X)
    assert count == 0


CACHE = None


def test_a_cache_that_is_filled_once_stays_legal(monkeypatch):
    monkeypatch.setitem(globals(), "CACHE", None)

    def fn(x):
        global CACHE
        if CACHE is None:
            CACHE = np.float32(3.0)
        return x * CACHE

    jitted = lucid.jit(fn)
    assert [jitted(X).item() for _ in range(3)] == [3.0, 3.0, 3.0]


def draws_python(x):
    return x * random.random()


def draws_numpy(x):
    return x + np.random.rand()  # noqa: NPY002


@pytest.mark.parametrize(
    ("fn", "module"), [(draws_python, "random"), (draws_numpy, r"numpy\.random")]
)
def test_draws_of_other_generators_are_refused(fn, module):
    message = rf"test_watch.py:\d+: `return .*`: a draw from {module} inside a compiled function"
    with pytest.raises(lucid.JitError, match=message):
        lucid.jit(fn)(X)


def test_a_draw_of_another_thread_is_not_blamed():
    done = threading.Event()

    def draw():
        while not done.is_set():
            random.random()
            np.random.rand()  # noqa: NPY002

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        for _ in range(5):
            assert lucid.jit(lambda x: x * 2)(X).item() == 2.0
    finally:
        done.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["coverage", "cProfile", "settrace"])
def test_training_under_a_tool(tmp_path, how):
    script = tmp_path / "script.py"
    trace = "import sys; sys.settrace(lambda *a: None)\n" if how == "settrace" else ""
    script.write_text(
        trace + "import lucid\nfrom lucid import nn\n"
        "SCALE = 1.0\n"
        "def helper(x): return x * SCALE\n"
        "model = nn.Linear(3, 2)\n"
        "optimizer = lucid.optim.Adam(model.parameters())\n"
        "@lucid.jit\n"
        "def step(x):\n"
        "    optimizer.zero_grad()\n"
        "    loss = (helper(model(x)) ** 2).mean()\n"
        "    loss.backward()\n"
        "    optimizer.step()\n"
        "    return loss\n"
        "x = lucid.ones(4, 3)\n"
        "print(step(x).item() > step(x).item() > step(x).item(), step.cache_info().misses)\n"
    )
    command = {
        "coverage": [sys.executable, "-m", "coverage", "run", f"--data-file={tmp_path}/data"],
        "cProfile": [sys.executable, "-m", "cProfile", "-o", str(tmp_path / "out")],
        "settrace": [sys.executable],
    }[how]
    if how == "coverage":
        pytest.importorskip("coverage")
    done = subprocess.run([*command, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True 1", done.stderr
