"""Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, TextIO

SECONDS_BETWEEN_LINES = 5.0
logger = logging.getLogger("densecorr.progress")

stop_requested = threading.Event()  # set once, by `request_stop`
STOP_PATIENCE_S = 15.0


def request_stop() -> None:
    """Let every stage stop at its next progress report; end the process if one takes too long to get there.

    Ending it is safe: a half-made artifact does not exist for the store, and finished shards are kept.
    """
    if stop_requested.is_set():
        return
    stop_requested.set()
    patience = threading.Timer(STOP_PATIENCE_S, _end_at_once)
    patience.daemon = True  # lives on while the interpreter waits for the other threads, not longer
    patience.start()


def _end_at_once() -> None:
    print(
        "stopped: finished work is kept; run the same command again to continue", file=sys.stderr, flush=True
    )
    os._exit(130)


class Stopped(KeyboardInterrupt):
    """Raised in a worker thread at its next progress report after the user asked to stop."""


class Progress(Protocol):
    """What a stage hands to the library: call it with the number of finished items."""

    def __call__(self, done: int, total: int | None = None, text: str = "") -> None:
        """Report `done` of `total` items (None: unknown); `text` says what is being done."""
        ...


class StageProgress(AbstractContextManager["StageProgress"]):
    """A `Progress` that draws on `stream`; it also is where a stage notices that it should stop."""

    def __init__(
        self, label: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` is read for the pace of plain lines."""
        self._label = label
        self._stream = stream or sys.stderr
        self._clock = clock
        self._last_line = clock()
        self._bar: Any = None

    def __call__(self, done: int, total: int | None = None, text: str = "") -> None:
        """Draw one step; raises `Stopped` when the user has asked to stop."""
        if stop_requested.is_set():
            raise Stopped(self._label)
        if self._stream.isatty():
            self._draw(done, total, text)
        elif self._clock() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = self._clock()
            print(f"{self._label}: {progress_text(done, total, text)}", file=self._stream, flush=True)
            logger.info("%s: %s", self._label, progress_text(done, total, text))

    def _draw(self, done: int, total: int | None, text: str) -> None:
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(
                desc=self._label, total=total, file=self._stream, leave=False, dynamic_ncols=True
            )
        self._bar.total = total
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(done - self._bar.n)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()


def progress_text(done: int, total: int | None, text: str) -> str:
    """For example `120 of 400 (30%) matching`."""
    count = f"{done} of {total} ({100 * done // total}%)" if total else str(done)
    return f"{count} {text}".strip()
