"""Every public name is spoken of in a test; and what no other test holds."""

import re
from pathlib import Path

import numpy as np

import lucid
from lucid import Tensor, data
from lucid.nn import functional as F
from tests.public import METHODS, NAMES

TESTS = Path(__file__).parent
# They list names, or see to properties that all have.
LISTS = {"public.py", "test_every_name.py", "test_surface.py", "test_public_names.py"}


def general(word):
    """A word without what one table or one loop varies: `sin_`, `max_pool3d`."""
    return re.sub(r"[123]d$", "nd", word.rstrip("_"))


def test_every_public_name_is_in_a_test():
    files = (p for p in TESTS.rglob("*.py") if "benchmarks" not in p.parts)
    here = Path(__file__).read_text().partition("def test_a_")[2]
    text = "\n".join([here, *(p.read_text() for p in files if p.name not in LISTS)])
    words = {general(word) for word in re.findall(r"\w+", text)}
    names = {name: name.rsplit(".", 1)[-1] for name in (*NAMES, *METHODS)}
    assert [name for name, last in names.items() if general(last) not in words] == []


def test_a_new_axis():
    assert lucid.zeros(2, 3)[:, lucid.newaxis].shape == (2, 1, 3)


def test_a_sampler_is_one_of_samplers():
    assert isinstance(data.RandomSampler([1, 2]), data.Sampler)


def test_a_picture_is_folded_as_it_was_unfolded():
    x = np.arange(2 * 3 * 4 * 6, dtype="float32").reshape(2, 3, 4, 6)
    small = F.pixel_unshuffle(Tensor(x), 2)
    assert small.shape == (2, 12, 2, 3)
    np.testing.assert_array_equal(small.numpy()[:, 1], x[:, 0, ::2, 1::2])
    np.testing.assert_array_equal(F.pixel_shuffle(small, 2).numpy(), x)
