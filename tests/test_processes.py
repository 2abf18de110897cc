"""Two processes of two devices each: they compute what one does, and none outlives the other."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import lucid
from tests.helpers import ROOT, close

LIMIT = 120  # seconds, in which a hung collective ends


def begin(case, folder, count=2, missing=0, devices=2):
    """Start the processes of a case but for the last ones."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings = {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_ENABLE_X64": "1",
        "JAX_CPU_ENABLE_ASYNC_DISPATCH": "0",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # what is compared here, they do not change
    }
    script = Path(__file__).with_name("processes_cases.py")
    return [
        subprocess.Popen(
            [sys.executable, script, case, str(i), str(count), str(port), str(folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            cwd=ROOT, env={**os.environ, **settings},
        )
        for i in range(count - missing)
    ]  # fmt: skip


def end(running, stopped=None):
    """The statuses and stderr of processes that end by themselves, but for a stopped one."""
    texts = {}
    try:
        for i, process in enumerate(running):
            if i != stopped:
                texts[i] = process.communicate(timeout=LIMIT)[1]
    finally:
        for process in running:
            process.kill()
            process.communicate()
    return [process.returncode for process in running], texts


def results(case, folder, running):
    """What the processes of a case return when all is well."""
    statuses, texts = end(running)
    assert not any(statuses), texts
    files = [folder / f"{case}{i}.json" for i in range(len(running))]
    return [json.loads(file.read_text()) for file in files]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def together(folder):
    first, second = results("together", folder, begin("together", folder))
    assert first == second
    return first


@pytest.fixture(scope="module")
def alone(folder):
    (result,) = results("alone", folder, begin("alone", folder, count=1, devices=8))
    return result


@pytest.mark.parametrize(("name", "spread"), [("copies", 0), ("fsdp", 11)])
def test_a_training_is_that_of_one_process(together, alone, name, spread):
    found = together[name]
    close(found["losses"], alone["losses"], atol=1e-12)
    assert found["state"].keys() == alone["state"].keys()
    for key, values in alone["state"].items():
        close(found["state"][key], values, atol=1e-12)
    assert found["stayed"]
    assert found["spread"] == spread


def test_what_is_copied_begins_alike(together):
    # Both processes returned the same `drawn`, of a generator that nobody seeded.
    assert np.shape(together["drawn"]) == (2, 3)
    assert together["placed"] == [[[0.0, 0.0]] * 2] * 2  # the values of process 0
    assert (
        "process 0 comes to <place: weight, float64 of shape (2, 2)>, process 1 to"
        in (together["differ"])
    )


def test_reading(together):
    assert together["devices"] == 4
    assert together["whole"] == [-8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0]
    assert together["sum"] == -4.0
    for text in together["texts"]:
        assert "float64[8]" in text
        assert "spec=P" in text
        assert "('data',)" in text
        assert "its values lie on several processes: lucid.sharding.whole(x)" in text
    for call, text in zip(("tolist", "numpy", "pickle", "free"), together["errors"], strict=True):
        assert text == (
            f"RuntimeError: {call}: the values of this Tensor of shape (8,) lie on several "
            "processes. lucid.sharding.whole(x) brings them together; all processes must call it."
        )
    # Process 0 could not write, and the other one knows.
    assert together["unwritten"][0][0]
    assert together["unwritten"][1] == [True, True]
    assert together["twice"] == (
        "RuntimeError: initialize: the processes are together already; call it once."
    )


def test_a_loader_gives_each_sample_once(together):
    found = together["loader"]
    for epoch, shares, size in zip(found["whole"], found["shares"], (4, 8, 8), strict=True):
        x, y = (np.concatenate(parts) for parts in zip(*epoch, strict=True))
        assert len(epoch) == 22 // size
        assert len({*y.tolist()}) == len(y) == len(epoch) * size
        np.testing.assert_array_equal(x, np.sqrt(y)[:, None].repeat(3, 1))
        # Each process made just its half of each batch, in order.
        made = np.array(shares).reshape(2, len(epoch), size // 2).swapaxes(0, 1).ravel()
        np.testing.assert_array_equal(made, x[:, 0])
    assert found["whole"][1] != found["whole"][2]  # shuffled anew
    assert found["rest"][0] == found["rest"][1] == [found["whole"][1][1][1]]
    assert np.ravel(found["streamed"]).tolist() == list(range(16))
    assert sorted(np.ravel(found["distributed"])) == list(range(22))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uneven", "a batch of 6 samples cannot be split into 4 equal parts, as `device` says."),
        ("odd", "a batch of 6 samples cannot be split into 4 equal parts, as `device` says."),
        ("twice", "this device gives each process its part of a batch already; leave out the Di"),
        ("collated", "4 samples of this process became an array of shape (3,). Over several"),
    ],
)
def test_what_a_loader_refuses(together, name, text):
    assert together["loader"][name].startswith(f"ValueError: DataLoader: {text}")


def test_orbax_writes_and_reads_what_lies_on_two_processes(together):
    if together["orbax"] is None:
        pytest.skip("orbax is not installed")
    assert together["orbax"] == [True, True]


@pytest.mark.parametrize("name", ["copies", "fsdp"])
def test_a_file_of_two_processes_loads_in_one(together, folder, name):
    with jax.enable_x64(True):
        saved = lucid.load(folder / f"{name}.npz")
    assert saved["done"] == len(together[name]["losses"])
    generator, critic, average, *_ = saved["gan"]
    for i, part in enumerate((generator, critic, average)):
        for key, value in part.items():
            assert (
                np.asarray(value, np.float64).tolist() == together[name]["state"][f"{i}.{key}"]
            ), key


@pytest.mark.parametrize("count", ["1", "2", "4", "8"])
def test_a_file_of_8_devices_loads_on_fewer_and_back(alone, count):
    split = 0 if count == "1" else 11
    assert alone["moved"][count] == {"equal": True, "stayed": True, "split": split, "file": True}


def test_a_killed_process_ends_the_other_and_training_goes_on(together, folder):
    statuses, texts = end(begin("killed", folder))
    assert statuses == [75, -9]
    assert "lucid: process 1 is gone. This process ends too; start all again" in texts[0]
    found, _ = results("again", folder, begin("again", folder))
    assert found["state"] == together["fsdp"]["state"]  # bit for bit
    assert found["losses"] == together["fsdp"]["losses"][4:]


def test_none_outlives_another(folder):
    running = {case: begin(case, folder) for case in ("failed", "ended", "stopped")}
    late = begin("late", folder, missing=1)

    statuses, texts = end(running["failed"])
    assert statuses == [75, 1]
    assert "lucid: process 1 ended by ZeroDivisionError. This process ends too" in texts[0]
    assert "ZeroDivisionError: division by zero" in texts[1]

    statuses, texts = end(running["ended"])
    assert statuses == [75, 75]
    assert (
        "lucid: process 1 waits in <save of 1 arrays to x.npz> for the others, for 1.0 s"
        in (texts[1])
    )
    for text in texts.values():
        assert "lucid: process 0 ended, and not all others within 6.0 s. This process" in text

    statuses, texts = end(running["stopped"], stopped=0)
    assert statuses == [-9, 75]
    assert "lucid: process 0 gave no sign of life for 6.0 s. This process ends too" in texts[1]

    statuses, texts = end(late)
    assert statuses == [75]
    assert "lucid: process 0 waited 2.0 s for all 2 processes at 127.0.0.1:" in texts[0]
