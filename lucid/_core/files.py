"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path


def write_whole(path: Path, write: Callable[[str], object]) -> None:
    """Have `write` fill a file near `path`, and move it there once it is on the disk.

    Whenever the process dies, the old file or the new one is there; the next call for the same
    path sweeps away what else was left. A link is followed; a file that exists keeps its mode.

    Raises:
        OSError: whatever went wrong, with `path`.
    """
    try:
        _write(Path(os.path.realpath(path)), write)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _write(target: Path, write: Callable[[str], object]) -> None:
    mode = _mode(target)
    parent = os.open(target.parent, os.O_RDONLY)
    try:
        with _folder(target) as folder:
            temporary = folder / "file"
            temporary.touch()
            if mode is None:
                mode = temporary.stat().st_mode
            write(str(temporary))
            temporary.chmod(mode)  # a library may have made the file anew, for its owner alone
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
        os.fsync(parent)
    finally:
        os.close(parent)


def _mode(target: Path) -> int | None:
    """The mode of the file that is there, if one is."""
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):  # such as a device, or links in a circle
        raise OSError(errno.EINVAL, "This is no regular file, and stays")
    return stat.S_IMODE(mode)


@contextlib.contextmanager
def _folder(target: Path) -> Iterator[Path]:
    """A folder beside `target` for one save, which takes along what a library leaves in it.

    It is locked as long as the process that made it lives. One that can be locked is a dead one's.
    """
    # A digest, since the name of the target may be as long as the file system takes.
    start = f".lucid-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}-"
    with contextlib.suppress(PermissionError):
        for old in target.parent.glob(f"{start}*"):
            with _lock(old) as locked:
                if locked:
                    shutil.rmtree(old, ignore_errors=True)
    while True:
        folder = target.with_name(start + secrets.token_hex(8))
        folder.mkdir(mode=0o700)
        with _lock(folder) as locked:
            if not folder.exists():
                continue  # another save has just swept it
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Lock a folder for a while; False if another save holds it, or nobody can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except OSError:
            locked = False
        yield locked
    finally:
        os.close(handle)
