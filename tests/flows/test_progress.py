"""Plain lines at a measured pace in a log, a bar on a terminal, and the place where a stage stops."""

import io

import pytest

from flows.progress import StageProgress, Stopped, progress_text, stop_requested


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_one_line_every_five_seconds() -> None:
    now = 0.0
    stream = io.StringIO()
    progress = StageProgress("train", stream, clock=lambda: now)
    for step in range(120):
        now = 0.1 * step
        progress(step, 120, "steps")
    assert stream.getvalue().splitlines() == ["train: 50 of 120 (41%) steps", "train: 100 of 120 (83%) steps"]


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    with StageProgress("train", stream) as progress:
        progress(1, 4, "steps")
        progress(4, 4, "steps")
    assert "train" in stream.getvalue()
    assert "\n" not in stream.getvalue().strip()


def test_an_unknown_total_is_a_plain_count() -> None:
    assert progress_text(7, None, "") == "7"


def test_a_stage_stops_at_its_next_report() -> None:
    progress = StageProgress("train", io.StringIO())
    progress(1, 2)
    stop_requested.set()
    try:
        with pytest.raises(Stopped):
            progress(2, 2)
    finally:
        stop_requested.clear()
