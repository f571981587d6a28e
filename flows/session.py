"""What every command shares: where the store is, where the log goes, how the user is spoken to."""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from storage.artifacts import Store

Track = Literal["auto", "always", "never"]
DEFAULT_STORE = "./runs/store"
N_KEPT_LOGS = 50

logger = logging.getLogger("densecorr")


@dataclass(frozen=True)
class Session:
    """The options that every command understands."""

    store_uri: str
    track: Track = "auto"

    @cached_property
    def store(self) -> "Store":
        """The artifact store; nothing is created before something is kept."""
        from storage.artifacts import Store

        return Store(self.store_uri)

    def open_store(self) -> "Store":
        """The artifact store."""
        return self.store


def store_uri(option: str | None) -> str:
    """Which store: the option, else DENSECORR_STORE, else ./runs/store; a local one as an absolute path."""
    chosen = option or os.environ.get("DENSECORR_STORE") or DEFAULT_STORE
    return chosen if "://" in chosen else str(Path(chosen).expanduser().absolute())


def state_folder() -> Path:
    """Where logs and the address of the background server are kept: one folder a user."""
    chosen = os.environ.get("DENSECORR_STATE")
    if chosen is None:
        base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        chosen = str(Path(base) / "densecorr")
    folder = Path(chosen).expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def log_to_file(command: str) -> Iterator[Path]:
    """Send every log record of the block to a file of its own, whose path this gives.

    Prefect leaves the console alone when the root logger already has a handler with a formatter, so this also
    keeps its records off the terminal.
    """
    folder = state_folder() / "logs"
    folder.mkdir(exist_ok=True)
    for stale in sorted(folder.glob("*.log"))[: -N_KEPT_LOGS + 1]:
        stale.unlink(missing_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{command}-{os.getpid()}.log"
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s  %(message)s"))
    root, level = logging.getLogger(), logger.level
    root.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield path
    finally:
        logger.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def say(text: str) -> None:
    """One line to the user (on stderr: stdout is for results) and to the log."""
    print(
        f"{text}\n", end="", file=sys.stderr, flush=True
    )  # one write: stages that start together keep their lines
    logger.info("%s", text)


@contextlib.contextmanager
def said_if_slow(text: str, seconds: float = 2.0) -> Iterator[None]:
    """Say a line if the block takes longer than so many seconds."""
    notice = threading.Timer(seconds, say, [text])
    notice.daemon = True
    notice.start()
    try:
        yield
    finally:
        notice.cancel()
