"""Random numbers: distributions, seeds, generators, and that the stream is the same everywhere."""

from __future__ import annotations

import copy
import pickle
import re

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor
from tests.helpers import count_compiles


@pytest.fixture(autouse=True)
def seed():
    lucid.random.seed(0)


def test_shapes_and_options():
    for draw in (lucid.randn, lucid.rand, Tensor.randn, Tensor.rand, lucid.random.randn):
        assert draw(2, 3).shape == draw((2, 3)).shape == draw([2, 3]).shape == (2, 3)
        assert draw(()).shape == draw().shape == ()
        assert draw(3).shape == (3,)
        x = draw(2, requires_grad=True, dtype="float16", device="cpu")
        assert (x.requires_grad, x.is_leaf, x.dtype) == (True, True, np.float16)
    assert lucid.random.uniform(size=(2, 3)).shape == (2, 3)
    assert lucid.random.randint(5, size=4).shape == (4,)
    assert lucid.random.randint(5, size=4, dtype="int8").dtype == np.int8
    assert not lucid.randn(2).requires_grad


@pytest.mark.parametrize("draw", [
    lambda *o: lucid.random.uniform(0, 1, 2, *o), lambda *o: lucid.random.normal(0, 1, 2, *o),
    lambda *o: lucid.random.randint(0, 9, 2, *o), lambda *o: lucid.random.bernoulli([0.5, 0.5], *o),
    lambda *o: lucid.random.permutation(2, int, *o),
])  # fmt: skip
def test_options_by_place(draw):
    made = draw(False, True, "cpu")
    assert (made.shape, made.requires_grad, made.keep_grad) == ((2,), False, True)
    assert lucid.random.permutation(2, "float16", True).requires_grad


def test_normal():
    x = lucid.randn(200, 200).numpy()
    assert x.dtype == np.float32
    assert abs(x.mean()) < 0.025
    assert abs(x.std() - 1) < 0.02
    assert abs((np.abs(x) < 1).mean() - 0.6827) < 0.015


def test_uniform():
    x = lucid.rand(200, 200).numpy()
    assert 0 <= x.min() < 0.001
    assert 0.999 < x.max() < 1
    assert abs(x.mean() - 0.5) < 0.01
    y = lucid.random.uniform(-3, 5, (200, 200)).numpy()
    assert -3 <= y.min() < -2.99
    assert 4.99 < y.max() <= 5


def test_integers():
    x = lucid.random.randint(2, 7, (2000,))
    assert x.dtype == np.int32
    values, counts = np.unique(x.numpy(), return_counts=True)
    assert values.tolist() == [2, 3, 4, 5, 6]
    assert counts.min() > 300
    assert set(lucid.random.randint(3, size=(500,)).tolist()) == {0, 1, 2}
    with pytest.raises(ValueError, match=r"^randint: low must be below high, got 3 and 3\.$"):
        lucid.random.randint(3, 3)
    with pytest.raises(ValueError, match=r"^randint: low must be below high, got 0 and 0\.$"):
        lucid.random.randint(0)


def test_permutation_and_bernoulli():
    order = lucid.random.permutation(100).tolist()
    assert sorted(order) == list(range(100))
    assert order != list(range(100))
    probs = Tensor([0.0, 0.25, 1.0], requires_grad=True) * lucid.ones(4000, 1)
    draws = lucid.random.bernoulli(probs)
    assert set(draws.numpy().ravel()) == {0.0, 1.0}
    means = draws.numpy().mean(0)
    assert (means[0], means[2]) == (0, 1)
    assert abs(means[1] - 0.25) < 0.04
    assert not draws.requires_grad


def test_seeds_repeat_the_stream():
    first = [lucid.randn(3).tolist(), lucid.rand(3).tolist(), lucid.random.permutation(9).tolist()]
    assert lucid.random.get_seed() == 0
    lucid.random.seed(0)
    again = [lucid.randn(3).tolist(), lucid.rand(3).tolist(), lucid.random.permutation(9).tolist()]
    assert first == again
    lucid.random.seed(1)
    assert lucid.random.get_seed() == 1
    assert lucid.randn(3).tolist() != first[0]


def test_draws_differ():
    draws = [tuple(lucid.randn(3).tolist()) for _ in range(20)]
    assert len(set(draws)) == 20
    draws = [tuple(lucid.rand(3).tolist()) for _ in range(20)]
    assert len(set(draws)) == 20


def test_the_stream_does_not_depend_on_jaxs_configuration():
    # The values of seed 0 are part of the interface: a change would change every experiment.
    expected = lucid.randn(4).tolist()
    lucid.random.seed(0)
    with jax.default_prng_impl("rbg"):
        assert lucid.randn(4).tolist() == expected
    key = jax.random.wrap_key_data(np.array([0, 0], np.uint32), impl="threefry2x32")
    with jax.threefry_partitionable(True):
        _, own = jax.random.split(key)
        np.testing.assert_allclose(jax.random.normal(own, (4,)), expected, rtol=1e-6)
    for partitionable in (True, False):
        lucid.random.seed(0)
        with jax.threefry_partitionable(partitionable):
            assert lucid.randn(4).tolist() == expected


@pytest.mark.parametrize(
    ("draw", "sample"),
    [
        (lucid.randn, jax.random.normal),
        (lucid.rand, jax.random.uniform),
        (
            lambda shape: lucid.random.bernoulli(lucid.full(shape, 0.3)),
            lambda key, shape: jax.random.bernoulli(key, 0.3, shape),
        ),
    ],
    ids=["normal", "uniform", "bernoulli"],
)
def test_the_numbers_are_those_of_jax(draw, sample):
    key = jax.random.wrap_key_data(np.array([0, 0], np.uint32), impl="threefry2x32")
    with jax.threefry_partitionable(True):
        _, own = jax.random.split(key)
        expected = np.asarray(sample(own, (2, 3, 5)))
    np.testing.assert_array_equal(draw((2, 3, 5)).numpy(), expected)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**64 - 1])
def test_all_seeds_of_64_bits_count(seed):
    a, b = lucid.random.Generator(seed), lucid.random.Generator(seed ^ (1 << 40))
    assert a.initial_seed == seed
    assert lucid.randn(4, generator=a).tolist() != lucid.randn(4, generator=b).tolist()


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_out_of_range(seed):
    generator = lucid.random.Generator(5)
    text = rf"^seed: an integer from 0 to 2\*\*64 - 1 is needed, got {seed}\.$"
    for call in (lucid.random.seed, lucid.random.Generator, generator.manual_seed):
        with pytest.raises(ValueError, match=text):
            call(seed)
    assert generator.initial_seed == 5


def test_generators_are_streams_of_their_own():
    generator = lucid.random.Generator(7)
    before = lucid.random.default_generator().state.tolist()
    first = lucid.randn(3, generator=generator).tolist()
    assert lucid.random.default_generator().state.tolist() == before
    second = lucid.randn(3, generator=generator).tolist()
    assert generator.manual_seed(7) is generator
    assert lucid.randn(3, generator=generator).tolist() == first
    assert lucid.randn(3, generator=generator).tolist() == second
    assert lucid.random.Generator().initial_seed != lucid.random.Generator().initial_seed


def test_going_back_to_a_state():
    generator = lucid.random.default_generator()
    lucid.randn(2)
    position = generator.state.numpy()
    first = lucid.randn(3).tolist()
    generator.state.data = position
    assert lucid.randn(3).tolist() == first


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_state_goes_through_a_file(tmp_path, suffix):
    generator = lucid.random.Generator(2**63 + 5)
    lucid.randn(2, generator=generator)
    state = generator.state_dict()
    path = lucid.save(state, tmp_path / f"generator{suffix}")
    expected = [lucid.randn(3, generator=generator).tolist() for _ in range(2)]
    other = lucid.random.Generator(1)
    for saved in (state, lucid.load(path), {**state, "state": state["state"].numpy()}):
        other.load_state_dict(saved)
        assert other.initial_seed == 2**63 + 5
        assert [lucid.randn(3, generator=other).tolist() for _ in range(2)] == expected


def test_a_state_outlives_compiled_draws():
    generator = lucid.random.Generator(4)
    draw = lucid.jit(lambda: lucid.randn(3, generator=generator))
    draw()
    state = generator.state_dict()
    expected = [draw().tolist() for _ in range(2)]
    generator.load_state_dict(state)
    with count_compiles(expect=0):
        assert [draw().tolist() for _ in range(2)] == expected


def test_a_state_that_does_not_fit_changes_nothing():
    generator = lucid.random.Generator(4)
    lucid.randn(2, generator=generator)
    before = generator.state.tolist()
    text = (
        "load_state_dict: the state does not fit a Generator, and nothing was changed.\n"
        "  missing: initial_seed\n"
        "  unexpected: seed\n"
        "  state: two words of uint32 are needed, got float32 of shape (3,)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        generator.load_state_dict({"state": Tensor([1.0, 2.0, 3.0]), "seed": 1})
    for seed in (-1, 2**64, True, 1.0, None):
        line = f"initial_seed: an integer from 0 to 2**64 - 1 is needed, got {seed!r}"
        with pytest.raises(ValueError, match=f"{re.escape(line)}$"):
            generator.load_state_dict({**generator.state_dict(), "initial_seed": seed})
    with pytest.raises(ValueError, match=r"a dictionary is needed, got int$"):
        generator.load_state_dict(3)
    assert (generator.state.tolist(), generator.initial_seed) == (before, 4)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_copies_of_generators(copied):
    generator = lucid.random.Generator(3)
    lucid.randn(2, generator=generator)
    other = copied(generator)
    first = lucid.randn(3, generator=other).tolist()
    assert lucid.randn(3, generator=generator).tolist() == first


def test_drawing_again_compiles_nothing():
    def draw(low, high):
        lucid.randn(3), lucid.random.uniform(low, high, (3,)), lucid.random.randint(0, high, (3,))

    draw(0, 2)
    with count_compiles(expect=0):
        draw(-1, 5)
        lucid.random.seed(9)
        draw(1, 2)


def test_float64_under_x64():
    with jax.enable_x64(True):
        x = lucid.randn(3)
        assert x.dtype == np.float64
        assert (x.numpy() != x.numpy().astype(np.float32)).any()


def test_a_generator_keeps_no_traced_state():
    before = lucid.random.default_generator().state.numpy().copy()
    with pytest.raises(lucid.JitError, match=r"^random numbers inside jax\.jit, .* Use lucid\.jit"):
        jax.jit(lambda: lucid.randn(3).data)()
    np.testing.assert_array_equal(lucid.random.default_generator().state.numpy(), before)


# --- Draws like a Tensor, and by weights ------------------------------------------------------


def test_draws_like_a_tensor():
    x = lucid.zeros(200, 3, dtype="float16")
    for draw, same in (
        (lucid.randn_like, lucid.randn),
        (lucid.rand_like, lucid.rand),
        (lambda *args, **named: lucid.randint_like(*args, 5, **named),
         lambda *args, **named: lucid.random.randint(5, size=args[0], **named)),
    ):  # fmt: skip
        a, b = lucid.random.Generator(1), lucid.random.Generator(1)
        expected = same((200, 3), generator=a, dtype="float16")
        assert (draw(x, generator=b) == expected).all()
        like = draw(np.ones((2, 2), "f"), dtype="bfloat16", requires_grad=True)
        assert (like.shape, like.dtype, like.requires_grad) == ((2, 2), lucid.BFloat16, True)
    assert lucid.randn_like(3.0).shape == ()


WEIGHTS = np.array([1.0, 0.0, 2.0, 5.0], "f")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
def test_multinomial_draws_by_the_weights(dtype):
    n = 20000
    weights = Tensor(WEIGHTS, dtype=dtype)
    draws = lucid.random.multinomial(weights, n, replacement=True).numpy()
    shares = WEIGHTS / WEIGHTS.sum()
    found = np.bincount(draws, minlength=4) / n
    assert found[1] == 0
    assert (np.abs(found - shares) < 4 * np.sqrt(0.25 / n)).all()
    # One row for each draw of two, without replacement.
    pairs = lucid.random.multinomial(lucid.ones(n, 1, dtype=dtype) * weights, 2).numpy()
    assert pairs.shape == (n, 2) and pairs.dtype == np.int32
    for a in (0, 2, 3):
        for b in (0, 2, 3):
            expected = 0 if a == b else shares[a] * shares[b] / (1 - shares[a])
            share = ((pairs == [a, b]).all(1)).mean()
            assert abs(share - expected) < 4 * np.sqrt(0.25 / n), (a, b)
    assert not (pairs == 1).any()


def test_multinomial_of_all_places_is_a_permutation():
    draws = lucid.random.multinomial(lucid.rand(5, 30) + 0.1, 30)
    assert (draws.sort(1).values == lucid.arange(30)).all()
    assert lucid.random.multinomial(Tensor([1.0, 2.0]), 0).shape == (0,)
    assert lucid.random.multinomial(lucid.ones(0, 3), 2).shape == (0, 2)
    assert lucid.random.multinomial(Tensor([0.0, 1e-30]), 3, True, dtype="int8").tolist() == [1] * 3


def test_multinomial_is_the_same_compiled():
    weights, step = Tensor(WEIGHTS), lucid.jit(lambda w: lucid.random.multinomial(w, 3))
    step(weights)
    lucid.random.seed(3)
    expected = [lucid.random.multinomial(weights, 3).tolist() for _ in range(3)]
    lucid.random.seed(3)
    with count_compiles(expect=0):
        found = [step(weights).tolist() for _ in range(3)]
    assert found == expected


@pytest.mark.parametrize(
    ("probs", "arguments", "text"),
    [
        (1.0, (1,), r"probs \(n,\) or \(m, n\) with n above 0 are needed, got shape \(\)\."),
        ([[]], (1,), r"probs .* with n above 0 are needed, got shape \(1, 0\)\."),
        ([1.0], (-1,), r"num_samples must be an integer from 0 on, got -1\."),
        ([1.0], (1.5,), r"num_samples must be an integer from 0 on, got 1\.5\."),
        ([1.0, -1.0], (1,), r"probs must be from 0 to .*, got -1\.0 at \[1\]\."),
        ([1.0, np.nan], (1,), r"probs must be from 0 to .*, got nan at \[1\]\."),
        ([1.0, np.inf], (1,), r"probs must be from 0 to .*, got inf at \[1\]\."),
        ([0.0, 0.0], (1, True), r"1 places with a weight above 0 are needed, and 0 have one\..*"),
        (
            [[1.0, 1.0], [0.0, 1.0]], (2,),
            r"2 places with a weight above 0 are needed, and 1 have one\. Draw fewer, or with "
            r"replacement=True\.",
        ),
    ],
)  # fmt: skip
def test_what_multinomial_refuses(probs, arguments, text):
    position = lucid.random.default_generator().state.numpy()
    with pytest.raises(ValueError, match=f"^multinomial: {text}$"):
        lucid.random.multinomial(probs, *arguments)
    assert (lucid.random.default_generator().state.numpy() == position).all()


def test_a_compiled_multinomial_knows_the_number_of_places():
    with pytest.raises(ValueError, match=r"^multinomial: of 2 places 3 cannot be drawn\.$"):
        lucid.jit(lambda w: lucid.random.multinomial(w, 3))(Tensor([1.0, 1.0]))


def test_a_generator_shows_its_seed():
    assert repr(lucid.random.Generator(7)) == "Generator(initial_seed=7)"
