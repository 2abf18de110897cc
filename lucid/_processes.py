"""Several processes that compute together: they find each other, and none outlives another.

Each process tells process 0 four times in `timeout` that it lives, and process 0 tells each. One
that is silent for that long, or whose connection ends without a word, is lost; then all end, since
no program of theirs can run to its end any more.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import selectors
import socket
import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, NoReturn

import jax
import numpy as np

from lucid._core import spread
from lucid.random import default_generator

# What processes tell each other; a reason follows the last, and the connection ends with a death.
_BEAT, _BYE, _FAILED, _GONE = b".", b"b", b"!", b"-"
_TOKEN, _HOST = 16, 253  # bytes: what shows that a process belongs here; the longest name of a host
_HELLO = 5.0  # seconds in which one that connects says that it belongs here
_GRACE = 1.0  # seconds in which the others hear why all end

_errors: list[type[BaseException]] = []  # what ends this program
_ending = threading.Lock()  # held by what ends this process: nothing else does then


def initialize(
    address: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    timeout: float = 60,
) -> None:
    """Let several processes compute together; each calls it before it makes an array.

    From then on `lucid.sharding.mesh` takes the devices of all, unseeded draws begin alike, and all
    processes make the same calls in the same order. When one of them raises, dies, or is silent for
    `timeout` seconds, the others write a sentence to stderr and end, with status 75 ("try again"):
    whoever started them starts all again, from the last checkpoint.

    Args:
        address: "host:port" of process 0, the port being free; without these three, Slurm, MPI,
            Kubernetes or a TPU pod must tell them.
        processes: how many there are.
        process: which one this is, from 0.
        timeout: seconds, to wait for all at the start, for a sign of life then, and for the others
            when the program ends.

    Raises:
        ValueError: a number is out of range, the address is none, or nothing tells the arguments.
        RuntimeError: it comes too late or twice.

    >>> lucid.sharding.initialize("10.0.0.1:4321", processes=2, process=2)
    Traceback (most recent call last):
    ValueError: initialize: process must be from 0 to 1 where there are 2 processes, got 2.
    """
    _check(address, processes, process, timeout)
    late = threading.Timer(timeout, _end, [
        f"process {process} waited {timeout} s for all {processes} processes at {address}", {}
    ])  # fmt: skip
    late.daemon = True
    late.start()
    try:
        # JAX ends a process by itself, with less to read: it gets more time.
        margin = 2 * round(timeout) + 2
        jax.distributed.initialize(
            address, processes, process,
            initialization_timeout=margin, heartbeat_timeout_seconds=margin,
        )  # fmt: skip
        if spread.several():
            _join(address, timeout)
    except RuntimeError as error:
        if isinstance(error, jax.errors.JaxRuntimeError) or "before" not in str(error):
            raise
        raise RuntimeError(
            "initialize: JAX already runs in this process alone. Call initialize first, before "
            "anything makes an array or asks for devices."
        ) from None
    except ValueError as error:
        if address is not None:
            raise
        raise ValueError(
            "initialize: nothing tells of other processes. Pass address, processes and process."
        ) from error
    finally:
        late.cancel()


def _check(address: str | None, processes: int | None, process: int | None, timeout: float) -> None:
    if jax.distributed.is_initialized():
        raise RuntimeError("initialize: the processes are together already; call it once.")
    if not timeout > 0:
        raise ValueError(f"initialize: timeout must be above 0 seconds, got {timeout}.")
    given = (address, processes, process)
    if given == (None, None, None):
        return
    if address is None or processes is None or process is None:
        raise ValueError(
            f"initialize: address, processes and process go together, got {given}. Leave out all "
            "three where Slurm, MPI, Kubernetes or a TPU pod tells them."
        )
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise ValueError(f'initialize: address must be "host:port" of process 0, got "{address}".')
    if processes < 1:
        raise ValueError(f"initialize: processes must be at least 1, got {processes}.")
    if not 0 <= process < processes:
        raise ValueError(
            f"initialize: process must be from 0 to {processes - 1} where there are {processes} "
            f"processes, got {process}."
        )


def _join(address: str | None, timeout: float) -> None:
    """Take over the seed of process 0, and connect with it to watch each other."""
    own, generator = jax.process_index(), default_generator()
    server = None if own else _server()
    port = 0 if server is None else server.getsockname()[1]
    host = address.rpartition(":")[0] if address else socket.gethostname()
    parts = (
        secrets.token_bytes(_TOKEN), port.to_bytes(2), generator.initial_seed.to_bytes(8),
        host.encode().ljust(_HOST),
    )  # fmt: skip
    told = spread.from_first("initialize", np.frombuffer(b"".join(parts), np.uint8)).tobytes()
    token, rest = told[:_TOKEN], told[_TOKEN:]
    generator.manual_seed(int.from_bytes(rest[2:10]))
    peers: dict[socket.socket, int] = {}
    if server is None:
        host = rest[10:].decode().rstrip().strip("[]")
        peer = socket.create_connection((host, int.from_bytes(rest[:2])), timeout)
        peer.sendall(token + own.to_bytes(4))
        peers[peer] = 0
    else:
        with server:
            while len(peers) < jax.process_count() - 1:
                peer, _ = server.accept()
                peer.settimeout(_HELLO)
                hello = _received(peer, _TOKEN + 4, socket.MSG_WAITALL)
                if hello[:_TOKEN] == token:
                    peer.settimeout(timeout)
                    peers[peer] = int.from_bytes(hello[_TOKEN:])
                else:  # a stranger
                    peer.close()
    ended = threading.Event()  # of all others
    threading.Thread(
        target=_watch, args=(peers, timeout, ended), daemon=True, name="lucid.watch"
    ).start()
    _tell_the_end(own, peers, ended, timeout)


def _server() -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def _watch(peers: dict[socket.socket, int], timeout: float, ended: threading.Event) -> None:
    """Tell the others that this process lives, and end it once one of them is lost."""
    silent = dict.fromkeys(peers, 0)  # how many signs of life are missing, in a row, before its end
    with selectors.DefaultSelector() as selector:
        for peer in peers:
            selector.register(peer, selectors.EVENT_READ)
        while True:
            due = time.monotonic() + timeout / 4
            while (left := due - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    heard: Any = key.fileobj
                    said = _received(heard).lstrip(_BEAT)
                    if said == _GONE and heard not in silent:
                        selector.unregister(heard)
                    elif said.startswith(_BYE):
                        silent.pop(heard, None)
                        if not silent:
                            ended.set()
                    elif said:
                        _lose(peers[heard], said, peers)
                    elif heard in silent:
                        silent[heard] = 0
            _send(peers, _BEAT)
            for other in silent:
                silent[other] += 1
                if silent[other] == 4:
                    _end(f"process {peers[other]} gave no sign of life for {timeout} s", peers)


def _received(peer: socket.socket, size: int = 4096, flags: int = 0) -> bytes:
    try:
        return peer.recv(size, flags) or _GONE
    except OSError:
        return _GONE


def _lose(number: int, said: bytes, peers: dict[socket.socket, int]) -> NoReturn:
    if said == _GONE:
        _end(f"process {number} is gone", peers)
    # This program may be about to show the same error.
    _end(said.removeprefix(_FAILED).decode(errors="replace"), peers, _GRACE / 2)


def _send(peers: Iterable[socket.socket], words: bytes) -> None:
    for peer in peers:
        with contextlib.suppress(OSError):  # that it is gone is heard
            peer.sendall(words)


def _end(reason: str, peers: dict[socket.socket, int], grace: float = 0.0) -> NoReturn:
    """End this process: its program waits in a collective operation that never returns."""
    _ending.acquire()
    _send(peers, _FAILED + reason.encode())
    text = f"lucid: {reason}. This process ends too; start all again from the last checkpoint.\n"
    os.write(2, text.encode())
    time.sleep(grace)
    # In a thread, since the program may be inside a print that waits for ever.
    flush = threading.Thread(target=sys.stdout.flush, daemon=True)
    flush.start()
    flush.join(1)
    _exit(os.EX_TEMPFAIL, peers)


def _exit(status: int, peers: dict[socket.socket, int]) -> NoReturn:
    if peers and 0 not in peers.values():
        time.sleep(_GRACE)  # JAX aborts the others as soon as its service is gone
    os._exit(status)


def _tell_the_end(
    own: int, peers: dict[socket.socket, int], ended: threading.Event, timeout: float
) -> None:
    """Tell the others when the program ends, and by which error; wait a while for their end."""
    show = sys.excepthook

    def hook(
        kind: type[BaseException], value: BaseException, traceback: TracebackType | None
    ) -> None:
        _errors.append(kind)
        show(kind, value, traceback)

    def leave() -> None:
        if not _errors:
            _send(peers, _BYE)
            if not ended.wait(timeout):
                _end(f"process {own} ended, and not all others within {timeout} s", peers)
            return
        time.sleep(_GRACE / 2)  # where another's death is the reason, that is to be heard first
        _ending.acquire()
        reason = f"process {own} ended by {_errors[0].__name__}"
        _send(peers, _FAILED + reason.encode())
        sys.stdout.flush()
        sys.stderr.flush()
        _exit(1, peers)  # JAX would wait for the others at the exit

    sys.excepthook = hook
    atexit.register(leave)
