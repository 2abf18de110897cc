"""Compiled functions in several threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests._core.jit.models import X, train


def model_of(seed):
    lucid.random.seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))


def trainer(model):
    return lucid.jit(train(model, lucid.optim.Adam(model.parameters(), lr=0.05)))


def test_inference_in_eight_threads_beside_training():
    n_calls, n_steps = 40, 60
    served = model_of(0).eval()
    serve = lucid.jit(served)
    inputs = [X + i for i in range(8)]
    expected = [served(Tensor(x)).numpy() for x in inputs]
    twin = model_of(1)
    step = trainer(twin)
    losses = [step(Tensor(X)).item() for _ in range(n_steps)]

    def infer(x):
        with lucid.no_grad():
            return [serve(Tensor(x)).numpy() for _ in range(n_calls)]

    def work():
        model = model_of(1)
        step = trainer(model)
        losses = [step(Tensor(X)).item() for _ in range(n_steps)]
        return losses, model.state_dict()

    with ThreadPoolExecutor(9) as pool:
        training = pool.submit(work)
        results = [future.result() for future in [pool.submit(infer, x) for x in inputs]]
        trained, state = training.result()
    for outputs, target in zip(results, expected, strict=True):
        for output in outputs:
            np.testing.assert_allclose(output, target, rtol=1e-5, atol=1e-6)
    assert trained == losses
    for name, value in twin.state_dict().items():
        np.testing.assert_array_equal(state[name].numpy(), value.numpy())
    assert serve.cache_info().misses == 1


def test_the_first_calls_of_two_threads_trace_once():
    runs = []

    def slow(x):
        runs.append(threading.get_ident())
        time.sleep(0.05)
        return x * 2

    jitted = lucid.jit(slow)
    together = threading.Barrier(2)

    def call(value):
        together.wait()
        return jitted(Tensor(value)).item()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(call, [1.0, 2.0])) == [2.0, 4.0]
    assert len(set(runs)) == 1  # one thread traced, the other one waited
    assert jitted.cache_info().misses == 1 and jitted.cache_info().programs == 1


def test_others_see_real_values_while_a_thread_traces():
    w = Tensor([1.0], requires_grad=True)
    inside, looked = threading.Event(), threading.Event()

    def step():
        (w * 3).sum().backward()
        w.data = (w * 2).data
        inside.set()
        assert looked.wait(10)

    jitted = lucid.jit(step)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(jitted)
        assert inside.wait(10)
        seen = w.tolist(), w.grad, (w + 1).item()
        looked.set()
        future.result()
    assert seen == ([1.0], None, 2.0)
    assert w.tolist() == [2.0] and w.grad.tolist() == [3.0]


def test_a_failure_in_one_thread_leaves_the_others_alone():
    jitted = lucid.jit(lambda x: x * x if x.shape[0] < 3 else bool(x.sum()))

    def call(n):
        return jitted(Tensor(np.ones(n, np.float32))).sum().item()

    sizes = [1, 3, 2, 3]
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(call, n) for n in sizes]
    for n, future in zip(sizes, futures, strict=True):
        if n < 3:
            assert future.result() == n
        else:
            with pytest.raises(lucid.JitError, match=r"test_threads.py:\d+"):
                future.result()
    assert call(1) == 1 and jitted.cache_info().programs == 2


class Counting(nn.Module):
    """Parameters and Buffers that all hold the number of steps."""

    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(np.zeros((64, 64))) for _ in range(4)])
        self.count = nn.Buffer(0.0)

    def step(self):
        with lucid.no_grad():
            for weight in self.weights:
                weight.add_(1)
            self.count.data = (self.count + 1).data

    def forward(self, x):
        return x @ self.weights[0]


def test_readers_beside_a_training_thread(tmp_path):
    model = Counting()
    step = lucid.jit(model.step)
    forward = lucid.jit(model)
    x = lucid.ones(1, 64)
    done, errors = threading.Event(), []
    step(), forward(x)

    def whole(state):
        return {float(np.ravel(v.numpy())[i]) for v in state.values() for i in (0, -1)}

    def state_dict():
        assert len(whole(model.state_dict())) == 1

    def save():
        path = lucid.save({"model": model}, tmp_path / f"{threading.get_ident()}.npz")
        assert len(whole(lucid.load(path)["model"])) == 1

    def jitted():
        values = forward(x).numpy()
        assert values.min() == values.max()

    readers = (
        state_dict, save, jitted, lambda: repr(model.weights[1]), lambda: model(x).numpy(),
        lambda: model.count.item(),
    )  # fmt: skip

    def read(reader):
        try:
            for _ in range(20):
                reader()
        except Exception as error:
            errors.append(error)

    def train():
        while not done.is_set():
            step()

    trainer = threading.Thread(target=train)
    trainer.start()
    threads = [threading.Thread(target=read, args=(reader,)) for reader in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    trainer.join()
    assert errors == []


def test_threads_that_share_one_step_take_turns():
    model = Counting()
    step = lucid.jit(model.step)

    def run():
        for _ in range(50):
            step()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert model.count.item() == 200
    assert {float(w.numpy()[0, 0]) for w in model.weights} == {200.0}
