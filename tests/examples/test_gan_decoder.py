"""The GAN example in a reduced setting: its steps, its yardstick, and how it takes bad input."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import nn

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")

ROOT = Path(__file__).parents[2]
# 512 images in a step: an epoch of two steps.
SMALL = ["--width", "2", "--latent", "4", "--batch", "512", "--classifier-steps", "5"]


@pytest.fixture
def example(monkeypatch):
    """The script as a module."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    import gan_decoder

    return gan_decoder


@pytest.fixture
def metrics(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    from support import gan_metrics

    return gan_metrics


def train(example, out, *options):
    example.main([*SMALL, "--checkpoint-every", "1", "--out", str(out), *map(str, options)])


def arrays(state, name=""):
    """The arrays and numbers of a checkpoint by dotted name."""
    if isinstance(state, dict):
        entries = state.items()
    elif isinstance(state, (list, tuple)):
        entries = enumerate(state)
    else:
        return {name: np.asarray(state.numpy() if isinstance(state, lucid.Tensor) else state)}
    return {k: v for key, part in entries for k, v in arrays(part, f"{name}.{key}").items()}


def assert_same(a, b):
    a, b = arrays(a), arrays(b)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# --- Training -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["hinge", "wgan-gp"])
def test_each_loss_trains_and_draws(example, tmp_path, capsys, loss):
    train(example, tmp_path, "--loss", loss, "--steps", 3, "--sample-every", 2)
    state = lucid.load(tmp_path / "checkpoint.npz")
    history = state["history"].numpy()
    assert history.shape == (3, 4)
    assert np.isfinite(history).all()
    for part, start in (("G", example.make_generator(4, 2)), ("D", example.make_discriminator(2))):
        assert list(state[part]) == list(start.state_dict())
    for name in ("samples_000002", "samples_000003", "curves", "interpolation"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    report = capsys.readouterr().out
    for row in ("untrained generator", "trained generator", "real digits"):
        assert f"\n{row}" in report


@pytest.mark.slow
def test_a_resumed_run_takes_the_same_steps_and_draws_the_same_pictures(example, tmp_path):
    train(example, tmp_path / "straight", "--steps", 4)
    train(example, tmp_path / "parts", "--steps", 3)
    checkpoint = tmp_path / "parts" / "checkpoint.npz"
    train(example, tmp_path / "parts", "--steps", 4, "--resume", checkpoint, "--seed", 0)
    assert_same(lucid.load(tmp_path / "straight" / "checkpoint.npz"), lucid.load(checkpoint))
    for name in ("samples_000004.png", "curves.png"):
        straight, parts = ((tmp_path / run / name).read_bytes() for run in ("straight", "parts"))
        assert straight == parts


def test_every_part_changes_in_a_step_and_the_second_step_compiles_nothing(example):
    images = np.random.default_rng(0).uniform(-1, 1, (12, 1, 32, 32)).astype("f")
    training = example.Training(images, batch=4, latent=3, width=2)
    before = {name: arrays(part.state_dict()) for name, part in training.parts.items()}
    list(training.run(2))
    for name, part in training.parts.items():
        after = arrays(part.state_dict())
        assert any(not np.array_equal(after[k], v) for k, v in before[name].items()), name
    assert training.train_step.cache_info().misses == 1


@pytest.mark.slow
def test_a_training_in_pieces_is_that_of_a_checkpoint_taken_between(example, tmp_path):
    images = np.random.default_rng(0).uniform(-1, 1, (12, 1, 32, 32)).astype("f")
    first, second = (
        example.Training(images, batch=4, latent=3, width=2, seed=seed) for seed in (0, 1)
    )
    list(first.run(2))  # of three steps in an epoch
    first.save(tmp_path / "checkpoint.npz")
    expected = list(first.run(5))
    list(second.run(1))
    second.load(tmp_path / "checkpoint.npz")
    assert list(second.run(5)) == expected
    assert_same(first.G.state_dict(), second.G.state_dict())
    np.testing.assert_array_equal(first.history, second.history)


# --- Losses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "d", "g"),
    [
        (
            "non-saturating",
            lambda r, f: -np.log(_sigmoid(r)).mean() - np.log(1 - _sigmoid(f)).mean(),
            lambda f: -np.log(_sigmoid(f)).mean(),
        ),
        (
            "hinge",
            lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
            lambda f: -f.mean(),
        ),
        ("wgan-gp", lambda r, f: f.mean() - r.mean(), lambda f: -f.mean()),
    ],
)
def test_losses_are_those_of_the_papers(example, loss, d, g):
    real, fake = np.random.default_rng(0).normal(0, 2, (2, 9, 1)).astype("f")
    ours = example.discriminator_loss(loss, lucid.tensor(real), lucid.tensor(fake))
    np.testing.assert_allclose(ours.item(), d(real, fake), rtol=1e-5)
    ours = example.generator_loss(loss, lucid.tensor(fake))
    np.testing.assert_allclose(ours.item(), g(fake), rtol=1e-5)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_gradient_penalty_of_a_linear_discriminator_and_its_gradient(example):
    # D(x) = w x has the slope w everywhere: (|w| - 1)^2, of gradient 2 (|w| - 1) w / |w|.
    D = nn.Sequential(nn.Flatten(), nn.Linear(6, 1))
    real, fake = np.random.default_rng(0).normal(0, 1, (2, 5, 1, 2, 3)).astype("f")
    penalty = example.gradient_penalty(D, lucid.tensor(real), lucid.tensor(fake))
    w = D[1].weight.numpy()
    norm = np.linalg.norm(w)
    np.testing.assert_allclose(penalty.item(), (norm - 1) ** 2, rtol=1e-4)
    penalty.backward()
    np.testing.assert_allclose(D[1].weight.grad.numpy(), 2 * (norm - 1) * w / norm, rtol=1e-3)


# --- The yardstick ------------------------------------------------------------------------------


def test_frechet_distance(metrics):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6))
    b = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    roots = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).real).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b) - 2 * roots
    np.testing.assert_allclose(metrics.frechet_distance(a, b), expected, rtol=1e-9)
    assert abs(metrics.frechet_distance(a, a)) < 1e-9
    # Scaled and shifted: |shift|^2 + (1 - s)^2 tr C.
    shift = 3 * a.mean(0) + 1 - a.mean(0)
    expected = (shift**2).sum() + 4 * np.trace(cov_a)
    np.testing.assert_allclose(metrics.frechet_distance(a, 3 * a + 1), expected, rtol=1e-9)


def test_scores_count_what_the_classifier_is_sure_of(example, metrics):
    images, labels, held_out, held_out_labels = example.split_digits()
    judge = metrics.Judge(images, labels, held_out, held_out_labels, steps=100)
    assert judge.accuracy > 0.9
    real, noise = (
        judge.score(images[:400]),
        np.random.default_rng(0).uniform(-1, 1, (400, 1, 32, 32)),
    )
    assert real.classes == 10
    assert real.recognised > 0.7
    assert judge.score(noise).distance > 5 * real.distance
    two = images[(labels == 3) | (labels == 7)]
    assert judge.score(two).classes == 2
    assert set(np.unique(judge.classify(two))) >= {3, 7}


# --- Bad input ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run(example, tmp_path):
    train(example, tmp_path, "--steps", 1)
    checkpoint = tmp_path / "checkpoint.npz"
    before = checkpoint.read_bytes()
    with pytest.raises(
        SystemExit,
        match=r"step \d: (a loss|D\(G\(z\)\)) is not finite; the discriminator's loss was \S+, the "
        r"generator's \S+\. The last good checkpoint: .*checkpoint\.npz, of step 1\.$",
    ):
        train(example, tmp_path, "--steps", 9, "--resume", checkpoint, "--g-lr", 1e30)
    assert checkpoint.read_bytes() == before


def test_an_interrupt_leaves_the_last_checkpoint(example, tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(example, "save_tiles", interrupt)
    with pytest.raises(
        SystemExit,
        match=r"stopped at step 2\. The last checkpoint: .*checkpoint\.npz, of step 1\.$",
    ):
        train(example, tmp_path, "--steps", 5, "--sample-every", 2)
    assert lucid.load(tmp_path / "checkpoint.npz")["history"].shape == (1, 4)


@pytest.mark.slow
def test_a_killed_run_leaves_a_whole_checkpoint(tmp_path):
    command = [sys.executable, ROOT / "examples" / "gan_decoder.py", *SMALL, "--batch", "16"]
    command += ["--steps", "100000", "--checkpoint-every", "1", "--out", tmp_path]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    checkpoint = tmp_path / "checkpoint.npz"
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL
    ) as run:
        versions = set()
        while len(versions) < 4 and run.poll() is None:
            time.sleep(0.01)
            if checkpoint.exists():
                versions.add(checkpoint.stat().st_mtime_ns)
        run.kill()
    assert run.returncode == -signal.SIGKILL
    state = lucid.load(checkpoint)
    assert len(state["history"]) >= 4
    assert np.isfinite(state["history"].numpy()).all()


def test_a_wrong_checkpoint_names_all_that_differs_and_changes_nothing(example, tmp_path):
    images = np.random.default_rng(0).uniform(-1, 1, (12, 1, 32, 32)).astype("f")
    path = tmp_path / "checkpoint.npz"
    other = example.Training(images, batch=4, latent=3, width=2, seed=1)
    example.save_checkpoint(path, other.parts, [])
    training = example.Training(images, batch=6, latent=3, width=4, seed=0)
    before = {name: part.state_dict() for name, part in training.parts.items()}
    with pytest.raises(ValueError, match="does not fit this run, and nothing was changed") as error:
        training.load(path)
    assert_same(before, {name: part.state_dict() for name, part in training.parts.items()})
    lines = str(error.value).split("\n  ")
    for line in (
        "G: 1.weight: shape (3, 8, 4, 4) instead of (3, 16, 4, 4)",
        "G: 10.weight: shape (2, 1, 4, 4) instead of (4, 1, 4, 4)",
        "D: 0.weight_orig: shape (2, 1, 4, 4) instead of (4, 1, 4, 4)",
        "ema: module.1.weight: shape (3, 8, 4, 4) instead of (3, 16, 4, 4)",
        "g_optimizer: state 0: exp_avg: shape (3, 8, 4, 4) instead of (3, 16, 4, 4)",
        "d_optimizer: state 1: exp_avg: shape (2, 1, 4, 4) instead of (4, 1, 4, 4)",
        "loader: batch_size: 4 instead of 6",
    ):
        assert line in lines, error.value


def test_a_checkpoint_of_something_else(example, tmp_path):
    images = np.random.default_rng(0).uniform(-1, 1, (12, 1, 32, 32)).astype("f")
    training = example.Training(images, batch=4, latent=3, width=2)
    before = {name: part.state_dict() for name, part in training.parts.items()}
    path = lucid.save(training.G.state_dict(), tmp_path / "other.npz")
    with pytest.raises(ValueError, match=r"(?s)missing: G\n.*unexpected: 1\.weight"):
        training.load(path)
    path = lucid.save({**before, "history": lucid.zeros(0, 4), "G": 7}, tmp_path / "broken.npz")
    with pytest.raises(TypeError):
        training.load(path)
    assert_same(before, {name: part.state_dict() for name, part in training.parts.items()})


def test_a_damaged_or_absent_checkpoint_ends_the_script(example, tmp_path):
    checkpoint = tmp_path / "checkpoint.npz"
    with pytest.raises(SystemExit, match=r"there is no file .*checkpoint\.npz"):
        train(example, tmp_path, "--resume", checkpoint)
    checkpoint.write_bytes(b"PK damaged")
    with pytest.raises(SystemExit, match=r"checkpoint\.npz is truncated, corrupt"):
        train(example, tmp_path, "--resume", checkpoint)


def test_a_batch_of_more_images_than_there_are(example, tmp_path):
    message = r"a batch of 2000 cannot be drawn from 1397 images\."
    with pytest.raises(SystemExit, match=message):
        train(example, tmp_path, "--batch", 2000)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "flag, value, message",
    [("--steps", 0, "must be at least 1, got 0"), ("--g-lr", -1, "must be above 0, got -1")],
)
def test_numbers_that_cannot_be_are_refused(example, tmp_path, capsys, flag, value, message):
    with pytest.raises(SystemExit):
        train(example, tmp_path, flag, value)
    assert f"argument {flag}: {message}" in capsys.readouterr().err


def test_steps_that_were_done_already(example):
    images = np.zeros((12, 1, 32, 32), np.float32)
    training = example.Training(images, batch=4, latent=3, width=2)
    training.history = [[0.0] * 4] * 3
    with pytest.raises(ValueError, match=r"^3 steps were done already; give more than 2\.$"):
        next(training.run(2))
