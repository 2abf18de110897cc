"""Files are written whole or not at all, where they belong, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import lucid
from lucid import Tensor
from lucid._core.files import write_whole

SUFFIXES = [".npz", ".safetensors"]
ROOT = Path(lucid.__file__).parents[1]

# --- Killed writers ---------------------------------------------------------------------------

# The writers are forked, so that the time goes into writing; they hold NumPy arrays, so that no
# JAX runtime with threads is there when they are forked.
WRITERS = """
import os, random, signal, sys, time
import numpy as np
import lucid
path, kills = sys.argv[1], int(sys.argv[2])
delays = random.Random(0)
for _ in range(2):  # the first also imports
    start = time.perf_counter()
    lucid.save({"n": 0, "x": np.zeros(200_000, "f")}, path)
one = time.perf_counter() - start
for kill in range(kills):
    writer = os.fork()
    if writer == 0:
        for n in range(kill * 1000, 10**9):
            lucid.save({"n": n, "x": np.full(200_000, n % 1000, "f")}, path)
    time.sleep(delays.uniform(0, 5 * one))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    os.link(path, f"{sys.argv[3]}/{kill}{os.path.splitext(path)[1]}")
    print(len(os.listdir(os.path.dirname(path))) - 1)
lucid.save({}, path)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_killed_writer_leaves_a_whole_file(tmp_path, suffix):
    kills = 60
    found, work = tmp_path / "found", tmp_path / "work"
    found.mkdir(), work.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WRITERS, str(work / f"c{suffix}"), str(kills), str(found)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = []
    for kill in range(kills):
        loaded = lucid.load(found / f"{kill}{suffix}")
        assert (loaded["x"].numpy() == loaded["n"] % 1000).all()
        seen.append(loaded["n"])
    assert seen == sorted(seen)
    assert len(set(seen)) > kills / 4
    # A kill that comes while the file is being written leaves a folder, which the next save sweeps.
    left = [int(count) for count in done.stdout.split()]
    assert set(left) == {0, 1} and sum(left) > kills / 4
    assert [path.name for path in work.iterdir()] == [f"c{suffix}"]


# --- Places -----------------------------------------------------------------------------------


def test_a_save_leaves_that_of_another_alone(tmp_path):
    path = tmp_path / "c.npz"

    def write(temporary):
        lucid.save({"n": 1}, path)
        assert Path(temporary).exists() and lucid.load(path) == {"n": 1}
        Path(temporary).write_bytes(b"the last one stays")

    write_whole(path, write)
    assert path.read_bytes() == b"the last one stays"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_link_is_followed_and_a_mode_kept(tmp_path, suffix):
    (tmp_path / "deep").mkdir()
    target, link = tmp_path / "deep" / f"c{suffix}", tmp_path / f"link{suffix}"
    link.symlink_to(Path("deep") / f"c{suffix}")
    assert lucid.save({"n": 1}, link) == link
    for mode in (0o640, 0o777):
        target.chmod(mode)
        lucid.save({"n": mode}, link)
        assert link.is_symlink() and lucid.load(target) == {"n": mode}
        assert target.stat().st_mode & 0o7777 == mode
    assert [p.name for p in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path, suffix):
    name = "ä" * 100 + "x" * (55 - len(suffix)) + suffix
    lucid.save({"n": 1}, tmp_path / name)
    assert lucid.load(tmp_path / name) == {"n": 1}
    with pytest.raises(OSError, match=rf"^\[Errno {errno.ENAMETOOLONG}\] .*x{name}'$"):
        lucid.save({"n": 1}, tmp_path / f"x{name}")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_place_that_takes_no_file_is_named(tmp_path):
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "fifo.npz")
    (tmp_path / "circle.npz").symlink_to("circle.npz")
    before = sorted(tmp_path.iterdir())
    for name, error, text in [
        ("folder.npz", IsADirectoryError, "Is a directory"),
        ("fifo.npz", OSError, "This is no regular file, and stays"),
        ("circle.npz", OSError, "This is no regular file, and stays"),
        ("none/c.npz", FileNotFoundError, "No such file or directory"),
    ]:
        with pytest.raises(error, match=rf"^\[Errno \d+\] {text}: '{tmp_path}/{name}'$"):
            lucid.save({"n": 1}, tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


FULL = """
import os, resource, sys
import numpy as np
import lucid
path = sys.argv[1]
lucid.save({"n": 1}, path)
if sys.argv[2] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
else:
    os.chmod(os.path.dirname(path), 0o555)
    if os.getuid() == 0:  # whom nothing is forbidden
        os.seteuid(65534)
try:
    lucid.save({"x": np.ones(200_000, "f")}, path)
except OSError as error:
    print(type(error).__name__, error)
os.seteuid(os.getuid())
print(lucid.load(path), os.listdir(os.path.dirname(path)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("trouble", "text"), [
    ("full", "OSError [Errno 27] File too large"),
    ("forbidden", "PermissionError [Errno 13] Permission denied"),
])  # fmt: skip
def test_a_save_that_fails_names_the_path_and_leaves_the_old_file(suffix, trouble, text):
    with tempfile.TemporaryDirectory() as folder:  # which other users may enter
        os.chmod(folder, 0o755)
        path = Path(folder) / f"c{suffix}"
        done = subprocess.run(
            [sys.executable, "-c", FULL, str(path), trouble],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        os.chmod(folder, 0o755)
    assert done.stdout == f"{text}: '{path}'\n{{'n': 1}} ['{path.name}']\n", done.stderr


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_others_may_read_the_file_as_far_as_the_umask_says(tmp_path, suffix):
    (tmp_path / "plain").touch()
    lucid.save(Tensor(1.0), tmp_path / f"one{suffix}")
    assert (tmp_path / f"one{suffix}").stat().st_mode == (tmp_path / "plain").stat().st_mode
