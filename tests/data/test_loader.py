"""DataLoader: which batches, in which order, made where, and that no thread outlives its use."""

import copy
import functools
import gc
import itertools
import os
import pickle
import re
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.data import DataLoader, Dataset, Subset, TensorDataset
from lucid.random import Generator

ROOT = Path(lucid.__file__).parent.parent
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((11, 3)).astype("f"), np.arange(11)


class Watched(Dataset[int]):
    """Numbers that remember who asked for them."""

    def __init__(self, size, fail_at=None):
        self.size, self.fail_at = size, fail_at
        self.asked, self.threads = [], set()

    def __getitem__(self, idx):
        self.asked.append(idx)
        self.threads.add(threading.current_thread())
        if idx == self.fail_at:
            raise KeyError(f"sample {idx} is broken")
        return idx

    def __len__(self):
        return self.size


def numbers(batches):
    return [batch.tolist() for batch in batches]


def workers():
    return [t for t in threading.enumerate() if t.name.startswith("lucid.data")]


def wait_until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    wait_until(lambda: not workers())


# --- Batches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("size", "batch_size"), [(11, 4), (8, 4), (3, 5), (5, 1), (0, 2)])
def test_batches_are_pieces_of_the_order(size, batch_size, drop_last, prefetch):
    pieces = [list(range(size))[i : i + batch_size] for i in range(0, size, batch_size)]
    if drop_last:
        pieces = [piece for piece in pieces if len(piece) == batch_size]
    for dataset in (Watched(size), list(range(size))):
        loader = DataLoader(dataset, batch_size, drop_last=drop_last, prefetch=prefetch)
        assert len(loader) == len(pieces)
        assert numbers(loader) == numbers(loader) == pieces


@pytest.mark.parametrize("prefetch", [0, 2])
def test_samples_keep_together(prefetch):
    whole = TensorDataset(X, Y)
    for dataset in (whole, Subset(whole, range(11)), list(whole)):
        seen = []
        for x, y in DataLoader(dataset, 3, True, prefetch=prefetch):
            assert type(x) is type(y) is Tensor
            np.testing.assert_array_equal(x.numpy(), X[y.numpy()])
            seen += y.tolist()
        assert sorted(seen) == list(range(11))


def test_a_collate_fn_gets_the_samples():
    loader = DataLoader(Watched(5), 2, collate_fn=lambda samples: (sum(samples), "text"))
    assert list(loader) == [(1, "text"), (5, "text"), (4, "text")]
    arrays = DataLoader(TensorDataset(X), 4, collate_fn=lambda s: {"n": np.array(len(s))})
    assert [type(batch["n"]) for batch in arrays] == [Tensor] * 3
    assert [batch["n"].item() for batch in arrays] == [4, 4, 3]


def test_two_iterations_at_once():
    loader = DataLoader(Watched(4), 2)
    assert [(a.tolist(), b.tolist()) for a in loader for b in loader] == [
        (a, b) for a in ([0, 1], [2, 3]) for b in ([0, 1], [2, 3])
    ]


def test_next_goes_through_epoch_after_epoch():
    loader = DataLoader(Watched(3), 2)
    assert [next(loader).tolist(), next(loader).tolist()] == [[0, 1], [2]]
    with pytest.raises(StopIteration):
        next(loader)
    assert next(loader).tolist() == [0, 1]
    del loader


def test_repr():
    assert repr(DataLoader(Watched(3), 2, True)) == (
        "DataLoader(3 samples, batch_size=2, shuffle=True, drop_last=False)"
    )


# --- Order ------------------------------------------------------------------------------------


def orders(epochs=3, **options):
    loader = DataLoader(Watched(20), 3, True, **options)
    return [list(itertools.chain(*numbers(loader))) for _ in range(epochs)]


def test_the_order_is_the_generators():
    found = orders(generator=Generator(5))
    assert found[0] != found[1] != found[2] != found[0]
    stream = Generator(5)
    expected = [lucid.random.permutation(20, generator=stream).tolist() for _ in range(3)]
    assert found == expected
    lucid.random.seed(5)
    assert orders() == expected


@pytest.mark.parametrize("prefetch", [0, 1, 5, 100])
def test_the_order_and_other_draws_do_not_depend_on_prefetch(prefetch):
    def run(prefetch):
        lucid.random.seed(2)
        found = []
        for _ in range(2):
            for batch in DataLoader(Watched(20), 3, True, prefetch=prefetch):
                found += [batch.tolist(), lucid.randn(2).tolist()]
        return found

    assert run(prefetch) == run(2)


def test_an_own_generator_leaves_the_default_one():
    lucid.random.seed(0)
    before = lucid.random.default_generator().state.tolist()
    orders(generator=Generator(1))
    assert lucid.random.default_generator().state.tolist() == before
    DataLoader(Watched(20), 3).__iter__()
    assert lucid.random.default_generator().state.tolist() == before


# --- Where batches are made -------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [1, 2, 4])
def test_it_works_ahead_but_not_further(prefetch):
    dataset = Watched(20)
    batches = iter(DataLoader(dataset, 2, prefetch=prefetch))
    assert dataset.asked == []
    for received in (1, 2, 3):
        next(batches)
        wait_until(lambda n=received: len(dataset.asked) == 2 * (n + prefetch))
        time.sleep(0.05)
        assert len(dataset.asked) == 2 * (received + prefetch)
    assert dataset.threads == set(workers())


def test_without_prefetch_there_is_no_thread():
    dataset = Watched(6)
    batches = iter(DataLoader(dataset, 2, prefetch=0))
    next(batches)
    assert dataset.asked == [0, 1]
    assert dataset.threads == {threading.current_thread()}
    assert workers() == []


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_device_is_where_tensors_go(prefetch):
    for dataset in (TensorDataset(X), list(X)):
        for device, committed in ((None, False), ("cpu", True), (jax.devices()[0], True)):
            loader = DataLoader(dataset, 4, device=device, prefetch=prefetch)
            for batch in loader:
                (x,) = batch if isinstance(batch, tuple) else (batch,)
                assert x.data.committed is committed
                assert x.device == "cpu"


@pytest.mark.parametrize("prefetch", [0, 2])
def test_batches_are_not_recorded(prefetch):
    dataset = TensorDataset(Tensor(X, requires_grad=True))
    assert dataset[0][0].requires_grad
    for (x,) in DataLoader(dataset, 4, prefetch=prefetch):
        assert not x.requires_grad


@pytest.mark.parametrize("prefetch", [0, 2])
def test_jaxs_settings_hold_in_the_thread(prefetch):
    loader = DataLoader([0.1, 0.2, 0.3], 2, prefetch=prefetch)
    with jax.enable_x64(True):
        assert [b.dtype for b in loader] == [np.float64] * 2
    assert [b.dtype for b in loader] == [np.float32] * 2


def test_batches_go_into_a_compiled_step():
    total = Tensor(0.0)

    @lucid.jit
    def add(x):
        total.data = (total + (x * x).sum()).data

    for (x,) in DataLoader(TensorDataset(X), 4, True):
        add(x)
    np.testing.assert_allclose(total.item(), (X**2).sum(), rtol=1e-6)


# --- Exceptions -------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [0, 2, 10])
def test_an_exception_comes_after_the_batches_before_it_with_its_traceback(prefetch):
    loader = DataLoader(Watched(10, fail_at=5), 2, prefetch=prefetch)
    found = []
    with pytest.raises(KeyError, match="sample 5 is broken") as caught:
        found.extend(batch.tolist() for batch in loader)
    assert found == [[0, 1], [2, 3]]
    line = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (line.name, line.filename) == ("__getitem__", __file__)
    assert line.line == 'raise KeyError(f"sample {idx} is broken")'
    assert loader.state_dict()["position"] == 2


def test_an_exception_of_collation():
    def collate(samples):
        raise RuntimeError(f"cannot collate {samples}")

    with pytest.raises(RuntimeError, match=r"cannot collate \[0, 1\]"):
        list(DataLoader(Watched(4), 2, collate_fn=collate))


# --- The end of threads -----------------------------------------------------------------------


def test_leaving_the_loop_ends_the_thread():
    dataset = Watched(1000)
    for batch in DataLoader(dataset, 2):
        if batch.tolist() == [4, 5]:
            break
    wait_until(lambda: not workers())
    assert len(dataset.asked) <= 10


def test_a_dropped_iterator_ends_its_thread():
    batches = iter(DataLoader(Watched(1000), 2))
    next(batches)
    assert len(workers()) == 1
    del batches
    wait_until(lambda: not workers())
    batches = iter(DataLoader(Watched(1000), 2))
    next(batches)
    batches.close()
    wait_until(lambda: not workers())
    loader = DataLoader(Watched(1000), 2)
    next(loader)
    assert len(workers()) == 1
    del loader
    wait_until(lambda: not workers())


def drop_in_a_cycle(dataset):
    cycle = [iter(DataLoader(dataset, 1))]
    next(cycle[0])
    cycle.append(cycle)


def test_an_iterator_in_a_cycle_may_be_collected_in_any_thread():
    drop_in_a_cycle(Watched(1000))
    gc.collect()
    wait_until(lambda: not workers())

    dropped = threading.Event()
    collected = []

    class Collecting(Watched):
        def __getitem__(self, idx):
            if idx > 0:
                dropped.wait(20)
                collected.append(gc.collect())
            return idx

    gc.disable()
    try:
        drop_in_a_cycle(Collecting(1000))
        dropped.set()
        wait_until(lambda: not workers())
    finally:
        gc.enable()
    assert collected and collected[0] > 0


AT_EXIT = """
import time, lucid
class Slow(lucid.data.Dataset):
    def __len__(self): return 1000
    def __getitem__(self, idx):
        time.sleep(0.05)
        return idx
kept = iter(lucid.data.DataLoader(Slow(), 1))
print(next(kept).tolist())
loader = lucid.data.DataLoader(Slow(), 2)
print(next(loader).tolist())
for batch in loader:
    print(batch.tolist())
    {end}
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["break", "raise SystemExit", "raise KeyboardInterrupt"])
def test_the_interpreter_exits_at_once_and_says_nothing(end):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", AT_EXIT.format(end=end)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout == "[0]\n[0, 1]\n[0, 1]\n"
    if end == "raise KeyboardInterrupt":
        assert done.stderr.rstrip().endswith("KeyboardInterrupt")
        assert "Exception ignored" not in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")


# --- Refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0."),
        ({"batch_size": 1.5}, TypeError, "batch_size must be an integer, got 1.5."),
        ({"prefetch": -1}, ValueError, "prefetch must be at least 0, got -1."),
        ({"prefetch": None}, TypeError, "prefetch must be an integer, got None."),
    ],
)
def test_it_refuses_numbers(options, error, text):
    with pytest.raises(error, match=f"^{re.escape('DataLoader: ' + text)}$"):
        DataLoader(Watched(3), **options)


def test_it_refuses_what_is_no_dataset_and_no_device():
    text = (
        "DataLoader: the dataset must have __getitem__ and __len__, as a Dataset or a list has "
        "them, or be an IterableDataset; got generator."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        DataLoader(i for i in range(3))
    with pytest.raises(ValueError, match='device "gpu:7" is not present'):
        DataLoader(Watched(3), device="gpu:7")


def test_iterating_inside_a_compiled_function_is_refused():
    loader = DataLoader(TensorDataset(X), 4, True)
    compiled = lucid.jit(functools.partial(next, loader))
    with pytest.raises(lucid.JitError, match="value of a Tensor"):
        compiled()


def raises(error):
    raise error


@pytest.mark.parametrize("prefetch", [0, 2])
def test_stop_iteration_is_an_error_and_not_the_end_of_an_epoch(prefetch):
    class Broken(Watched):
        def __getitem__(self, idx):
            return raises(StopIteration("a bug")) if idx == 2 else idx

    class Batches(Watched):
        def get_batch(self, indices):
            raise StopIteration

    text = (
        "DataLoader: sample 2 of the dataset raised StopIteration, which would end the epoch. "
        "Raise IndexError where there is no sample."
    )
    for options in ({}, {"collate_fn": list}):
        with pytest.raises(RuntimeError) as caught:
            list(DataLoader(Broken(4), 1, prefetch=prefetch, **options))
        assert str(caught.value) == text
    text = (
        "DataLoader: StopIteration was raised where the batch of samples [0, 1] was made. An epoch "
        "ends by the length of the dataset alone."
    )
    for dataset, options in (
        (Watched(4), {"collate_fn": lambda samples: raises(StopIteration())}),
        (Batches(4), {}),
    ):
        loader = DataLoader(dataset, 2, prefetch=prefetch, **options)
        with pytest.raises(RuntimeError) as caught:
            list(loader)
        assert str(caught.value) == text
        assert loader.state_dict()["position"] == 0


@pytest.mark.parametrize("prefetch", [0, 2])
def test_errors_say_which_sample_and_which_batch_it_was(prefetch):
    with pytest.raises(KeyError, match="sample 3 is broken") as caught:
        list(DataLoader(Watched(6, fail_at=3), 2, prefetch=prefetch))
    assert caught.value.__notes__ == [
        "DataLoader: this is sample 3 of the dataset.",
        "DataLoader: this happened where the batch of samples [2, 3] was made.",
    ]


def test_a_copy_has_the_settings_and_begins_its_own_epoch():
    loader = DataLoader(TensorDataset(Y), 4, shuffle=True, generator=Generator(5))
    running, _ = iter(loader), next(loader)
    saved = loader.state_dict()
    for copied in (pickle.loads(pickle.dumps(loader)), copy.copy(loader), copy.deepcopy(loader)):
        assert repr(copied) == repr(loader)
        assert sorted(i for (x,) in copied for i in x.tolist()) == Y.tolist()
    assert next(running)[0].shape == (4,)
    resumed = DataLoader(TensorDataset(Y), 4, shuffle=True, generator=Generator(5))
    resumed.load_state_dict(saved)
    rest = [x.tolist() for (x,) in pickle.loads(pickle.dumps(resumed))]
    assert rest == [x.tolist() for (x,) in resumed]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_in_a_forked_process_an_iteration_with_a_thread_says_that_it_cannot_go_on():
    code = """
import os, numpy as np, lucid
for prefetch in (0, 2):
    loader = lucid.data.DataLoader(range(6), 2, prefetch=prefetch, collate_fn=list)
    batches = iter(loader)
    next(batches)
    if os.fork() == 0:
        try:
            print(prefetch, list(batches), list(loader), flush=True)
        except RuntimeError as error:
            print(prefetch, error, list(loader), flush=True)
        os._exit(0)
    os.wait()
"""
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120,
        cwd=ROOT,
    )  # fmt: skip
    rest, whole = "[[2, 3], [4, 5]]", "[[0, 1], [2, 3], [4, 5]]"
    assert found.stdout.splitlines() == [
        f"0 {rest} {whole}",
        "2 DataLoader: this iteration began in the process that forked this one, and its thread "
        f"stayed there. Begin another iteration, or iterate with prefetch=0. {whole}",
    ]
