"""The definition of random draws: against plain NumPy, by blocks, traced, sharded, in threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid.ops import random as ops
from lucid.random import Generator
from tests.helpers import count_compiles

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(key, high, low):
    """Threefry-2x32 with 20 rounds; Salmon et al., SC 2011."""
    with np.errstate(over="ignore"):
        keys = [np.uint32(k) for k in key]
        keys.append(keys[0] ^ keys[1] ^ np.uint32(0x1BD11BDA))
        x, y = high + keys[0], low + keys[1]
        for group in range(5):
            for r in ROTATIONS[group % 2]:
                x = x + y
                y = (y << np.uint32(r) | y >> np.uint32(32 - r)) ^ x
            x = x + keys[(group + 1) % 3]
            y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def words(seed, n):
    """The two words of each number of the first draw from a seed."""
    state = (np.uint32(seed >> 32), np.uint32(seed & 0xFFFFFFFF))
    one = np.ones(1, np.uint32)
    key = [w[0] for w in threefry(state, 0 * one, one)]
    return threefry(key, np.zeros(n, np.uint32), np.arange(n, dtype=np.uint32))


@pytest.mark.parametrize("n", [1, 255, 256, 257, 5000, 2**16, 2**16 + 1, 2**17 + 3])
def test_uniform_is_its_definition(n):
    high, low = words(3, n)
    fractions = ((high ^ low) >> np.uint32(9)).astype(np.float64) / 2**23
    got = lucid.rand(n, generator=Generator(3)).numpy()
    np.testing.assert_array_equal(got, fractions.astype(np.float32))


def test_a_reference_value_of_threefry():
    # The known answers of the paper's own implementation, for 20 rounds.
    ones = np.full(1, 0xFFFFFFFF, np.uint32)
    found = threefry((0xFFFFFFFF, 0xFFFFFFFF), ones, ones)
    assert [hex(int(w[0])) for w in found] == ["0x1cb996fc", "0xbb002be7"]
    zero = np.zeros(1, np.uint32)
    assert [hex(int(w[0])) for w in threefry((0, 0), zero, zero)] == ["0x6b200159", "0x99ba4efe"]


@pytest.mark.parametrize(("low", "high"), [(-3, 9), (0, 1), (-(2**31), 2**31), (5, 2**31)])
def test_randint_is_its_definition(low, high):
    upper, lower = words(4, 4000)
    expected = [
        low + ((high - low) * (int(a) * 2**32 + int(b)) >> 64)
        for a, b in zip(upper, lower, strict=True)
    ]
    got = lucid.random.randint(low, high, (4000,), generator=Generator(4))
    assert got.tolist() == expected


def test_moments():
    x = lucid.randn(1000, 1000, generator=Generator(1)).numpy().astype(np.float64)
    assert abs(x.mean()) < 4e-3 and abs(x.var() - 1) < 6e-3
    assert abs((x**3).mean()) < 1e-2 and abs((x**4).mean() - 3) < 3e-2
    u = np.sort(lucid.rand(10**6, generator=Generator(2)).numpy())
    assert np.abs(u - np.arange(10**6) / 10**6).max() < 2e-3  # Kolmogorov and Smirnov
    assert u[0] >= 0 and u[-1] < 1


@pytest.mark.parametrize("shape", [(3,), (17, 19), (2, 300, 201)])
def test_compiled_draws_are_the_eager_ones(shape):
    def draw(generator):
        return lucid.randn(*shape, generator=generator), lucid.rand(*shape, generator=generator)

    eager, generator = draw(Generator(5)), Generator(5)
    jitted = lucid.jit(lambda: draw(generator))()
    for a, b in zip(eager, jitted, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    state = Generator(5).state.data
    _, plain = jax.jit(lambda s: ops.normal(s, 0, 1, shape=shape, dtype=np.dtype("f")))(state)
    np.testing.assert_array_equal(eager[0].numpy(), np.asarray(plain))


def test_new_shapes_compile_nothing():
    for n in (1, 1000, 2**17):
        lucid.randn(n), lucid.random.uniform(0, 1, n)
    with count_compiles(0):
        for n in (2, 5, 77, 300, 4097, 70001):
            lucid.randn(n, 2)
            lucid.random.uniform(-0.1 * n, 0.2 * n, (3, n))
            lucid.nn.init.kaiming_uniform(WEIGHTS[n])


WEIGHTS = {n: lucid.nn.Parameter(np.zeros((n, 2))) for n in (2, 5, 77, 300, 4097, 70001)}


def test_threads_draw_no_number_twice():
    generator, drawn = Generator(6), []

    def draw():
        drawn.extend([tuple(lucid.rand(3, generator=generator).tolist()) for _ in range(50)])

    threads = [threading.Thread(target=draw) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(set(drawn)) == 400
    alone = Generator(6)
    assert set(drawn) == {tuple(lucid.rand(3, generator=alone).tolist()) for _ in range(400)}


@pytest.mark.parametrize("seed", [1.0, True, "1", None.__class__])
def test_a_seed_is_an_integer(seed):
    with pytest.raises(TypeError, match=r"^seed: an integer from 0 to 2\*\*64 - 1 is needed, got "):
        lucid.random.seed(seed)
    assert Generator(np.int64(3)).initial_seed == 3


@pytest.mark.slow
def test_numbers_do_not_depend_on_devices_or_configuration():
    code = """
import jax, numpy as np, lucid
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
g = lucid.random.Generator(7)
if len(jax.devices()) == 8:
    mesh = Mesh(np.array(jax.devices()), ("x",))
    g.state.data = jax.device_put(g.state.data, NamedSharding(mesh, P()))
f = lucid.jit(lambda: (lucid.randn(64, 5, generator=g), lucid.rand(9, generator=g)))
print([np.asarray(y.data).tobytes().hex() for y in f()])
"""
    settings = [
        {},
        {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"},
        {"JAX_THREEFRY_PARTITIONABLE": "0", "JAX_DEFAULT_PRNG_IMPL": "rbg"},
    ]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.getcwd()} | setting,
            capture_output=True, text=True, check=True,
        ).stdout
        for setting in settings
    }  # fmt: skip
    assert len(outputs) == 1
    assert jnp.zeros(1).dtype == np.float32
