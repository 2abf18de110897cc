"""What Python shows of an error that passes through lucid: the user's lines, and where it arose.

The lines of lucid and JAX between them are left out when an uncaught error is printed, in scripts,
threads and IPython; the error that code can catch has them all. `LUCID_TRACEBACK=full` shows them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from types import TracebackType
from typing import Any

from lucid._core.errors import LIBRARIES

_LUCID = LIBRARIES[0]
_INSIDE = (*LIBRARIES, contextlib.__file__)  # whose lines say nothing to a user


def shorten(error: BaseException) -> None:
    """Leave out the lines of libraries, but for the innermost; what is behind an error as well."""
    if not any(_file(entry).startswith(_LUCID) for entry in _entries(error.__traceback__)):
        return
    shown: BaseException | None = error
    seen: set[int] = set()
    while shown is not None and id(shown) not in seen:
        seen.add(id(shown))
        entries = _entries(shown.__traceback__)
        kept = [e for e in entries[:-1] if not _inside(e)] + entries[-1:]
        traceback: TracebackType | None = None
        for e in reversed(kept):
            traceback = TracebackType(traceback, e.tb_frame, e.tb_lasti, e.tb_lineno)
        shown.__traceback__ = traceback
        behind = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
        if behind is not None and all(map(_inside, _entries(behind.__traceback__))):
            shown.__cause__ = behind = None  # of no line of the user's
            shown.__suppress_context__ = True
        shown = behind


def _inside(entry: TracebackType) -> bool:
    return _file(entry).startswith(_INSIDE)


def _entries(traceback: TracebackType | None) -> list[TracebackType]:
    entries = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    return entries


def _file(entry: TracebackType) -> str:
    return entry.tb_frame.f_code.co_filename


def listen() -> None:
    """Shorten what is shown from now on; whoever showed errors before goes on to show them."""
    show, show_in_thread = sys.excepthook, threading.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
        if _shortens(error):
            shorten(error)
            traceback = error.__traceback__
        show(kind, error, traceback)

    def thread_excepthook(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and _shortens(args.exc_value):
            shorten(args.exc_value)
            found = args.exc_value.__traceback__
            args = threading.ExceptHookArgs((args.exc_type, args.exc_value, found, args.thread))
        show_in_thread(args)

    sys.excepthook, threading.excepthook = excepthook, thread_excepthook
    shell = _shell()
    if shell is not None and not shell.custom_exceptions:
        shell.set_custom_exc((Exception,), _show_in_shell)


def _shortens(error: BaseException) -> bool:
    return isinstance(error, Exception) and os.environ.get("LUCID_TRACEBACK") != "full"


def _shell() -> Any:
    """The IPython that runs this code, if one does."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _show_in_shell(shell: Any, kind: Any, error: Exception, traceback: Any, tb_offset: Any) -> None:
    if _shortens(error):
        # Its first entry is a line of IPython itself, which it skips.
        shorten(error)
        traceback = error.__traceback__
    shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)
