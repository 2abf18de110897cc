"""Each script learns in a reduced setting, and ends in a picture."""

import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "script, flags, figure, learned",
    [
        (
            "decoder_digits",
            ["--steps", "60", "--batch", "16"],
            "loss on held-out digits",
            lambda first, last: last < 0.6 * first,
        ),
        (
            "unet_segmentation",
            ["--steps", "40", "--batch", "8"],
            "mean IoU on held-out images",
            lambda first, last: first < 0.2 and last > 0.25,  # the ground alone: under 0.2
        ),
        (
            "vae_digits",
            ["--steps", "60", "--batch", "16"],
            "ELBO on held-out digits",
            lambda first, last: last > 0.8 * first,  # of a negative number
        ),
        (
            "waveform_decoder",
            ["--steps", "60", "--batch", "4"],
            "spectral error on held-out sounds",
            lambda first, last: last < 0.8 * first,
        ),
    ],
)
def test_a_script_learns_and_draws(script, flags, figure, learned, tmp_path):
    picture, losses = tmp_path / "picture.png", tmp_path / "losses.csv"
    results = ["--out", picture, "--log", losses]
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{script}.py", *flags, *results],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            # Compiling takes most of the time of so few steps.
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        },
    )
    first, last = map(float, re.findall(rf"{figure} at the .*: +(-?[\d.]+)", run.stdout))
    assert learned(first, last), run.stdout
    head, *rows = losses.read_text().splitlines()
    assert head == "step,loss" and len(rows) == int(flags[1])
    assert all(math.isfinite(float(row.split(",")[1])) for row in rows)
    assert picture.read_bytes().startswith(b"\x89PNG")


SCRIPTS = ("decoder_digits", "super_resolution", "unet_segmentation", "vae_digits")
SCRIPTS += ("waveform_decoder", "gan_decoder", "character_model", "data_parallel")


def called(script, *flags):
    return subprocess.run(
        [sys.executable, ROOT / "examples" / f"{script}.py", *flags],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_flags_are_refused_in_one_line_before_work_begins(script):
    run = called(script, "--steps", "-3")
    assert run.returncode == 2
    said = f"{script}.py: error: argument --steps: must be at least 1, got -3"
    assert run.stderr.splitlines()[-1] == said


@pytest.mark.slow
def test_a_picture_that_cannot_be_written_is_refused_before_work_begins(tmp_path):
    run = called("decoder_digits", "--out", tmp_path / "absent" / "picture.png")
    assert run.stderr.splitlines()[-1].endswith("absent/picture.png cannot be written")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "flag, value, said",
    [
        ("--g-lr", "-1", "must be above 0, got -1"),
        ("--d-lr", "nan", "must be above 0, got nan"),
        ("--ema-decay", "1", "must be from 0 to below 1, got 1"),
        ("--out", f"{__file__}/results", f"{__file__}/results cannot be written"),
    ],
)
def test_the_gan_refuses_numbers_that_cannot_train(flag, value, said):
    run = called("gan_decoder", flag, value)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1] == f"gan_decoder.py: error: argument {flag}: {said}"


@pytest.mark.slow
def test_help_shows_the_defaults():
    assert "training steps (default: 500)" in called("decoder_digits", "--help").stdout


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupt_ends_the_training_and_keeps_what_was_learned(tmp_path):
    picture = tmp_path / "picture.png"
    # A script that a shell starts in the background ignores interrupts; this one must not.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"import runpy; runpy.run_path({str(ROOT / 'examples' / 'decoder_digits.py')!r}, "
        "run_name='__main__')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--steps", "1000000", "--out", str(picture)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "examples")))},
    )
    while "/1000000 [" not in (shown := process.stderr.read(200)) or " 0/1000000" in shown:
        assert process.poll() is None, shown
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert re.search(r"stopped after \d+ of 1000000 steps", said)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--autocast"]])
def test_photographs_are_enlarged(tmp_path, more):
    picture = tmp_path / "picture.png"
    small = ["--steps", "6", "--batch", "4", "--size", "24", "--channels", "24", "--blocks", "1"]
    run = called("super_resolution", *small, *more, "--out", picture)
    found = re.findall(r"^(\w+) +([\d.]+) +([\d.]+)$", run.stdout, flags=re.M)
    psnr = {method: float(value) for method, value, _ in found}
    # So small a network is about as good as bicubic enlargement, from which it starts.
    assert psnr["nearest"] < psnr["bilinear"] < min(psnr["bicubic"], psnr["learned"])
    assert psnr["learned"] != psnr["bicubic"]
    assert picture.read_bytes().startswith(b"\x89PNG")


SMALL_WRITER = ["--steps", "60", "--size", "32", "--layers", "1"]


@pytest.mark.slow
def test_a_text_of_200_characters_takes_two_programs(tmp_path):
    text = tmp_path / "text.txt"
    run = called("character_model", *SMALL_WRITER, "--count", "200", "--out", text)
    first, last = map(float, re.findall(r"held-out text at the .*: +([\d.]+)", run.stdout))
    assert first > 4.5 and last < 4.2  # each of 30 characters alike: 4.9 bits
    assert "programs compiled to write 200 characters: 2\n" in run.stdout
    assert re.search(r"^characters a second: [1-9]", run.stdout, flags=re.M)
    written = text.read_text()
    assert re.fullmatch(r"the value of [ ',.a-z]{200}\n", written)
    assert written in run.stdout


@pytest.mark.slow
def test_pytorch_writes_the_same(tmp_path):
    pytest.importorskip("torch")
    run = called("character_model", *SMALL_WRITER, "--compare", "--out", tmp_path / "text.txt")
    assert re.search(r"^characters a second with PyTorch: [1-9]", run.stdout, flags=re.M)
    assert "of the most likely characters both write the same: 100%\n" in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags, said",
    [
        (("--count", "220"), "--beginning and --count must have 1 to 224 characters together"),
        (("--beginning", ""), "--beginning and --count must have 1 to 224 characters together"),
        (("--size", "20"), "argument --size: must be a multiple of 8, got 20"),
    ],
)
def test_a_text_that_the_model_cannot_write_is_refused(flags, said):
    run = called("character_model", *flags)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1] == f"character_model.py: error: {said}"


@pytest.mark.slow
def test_devices_agree_and_share_the_memory():
    run = called("data_parallel", "--steps", "2", "--batch", "16")
    rows = re.findall(
        r"^(\d) devices, (copies|split) +([\d.e-]+) +(\d+) +(\d+)  (.*)$", run.stdout, flags=re.M
    )
    assert [(n, rule) for n, rule, *_ in rows] == [
        (n, rule) for rule in ("copies", "split") for n in "248"
    ]
    one = int(re.search(r"^1 device +(\d+)", run.stdout, flags=re.M)[1])
    for n, rule, difference, state, _, exchanged in rows:
        assert float(difference) < 1e-6
        assert int(state) <= (one if rule == "copies" else 1.2 * one / int(n))
        assert ("all-gather" in exchanged) == (rule == "split")
    refused = called("data_parallel", "--batch", "12")
    assert refused.returncode == 2 and "8 devices must divide it, got 12" in refused.stderr
