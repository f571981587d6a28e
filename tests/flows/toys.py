"""Small stages for the tests of the machinery, named `toys:WORDS` and so on where a command is named."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from densecorr.errors import MeshError
from densecorr.hub import ModelRef
from flows.progress import Progress
from flows.stage import ArtifactRef, MeshSource, Runtime, SourcePath, Stage, StageInputs

PATIENCE_S = 60.0  # of a stage that waits for another


@dataclass(frozen=True)
class Words:
    """Split a text file into words."""

    text: SourcePath
    upper: bool = False


@dataclass(frozen=True)
class CountSettings:
    """How to count."""

    letter: str = "a"
    unit: str = "m"


@dataclass(frozen=True)
class Count:
    """Count a letter in the words, for one category."""

    category: str
    words: ArtifactRef
    mesh: MeshSource | None = None
    settings: CountSettings = CountSettings()
    n_threads: Annotated[int, Runtime()] = 1


@dataclass(frozen=True)
class View:
    """Copy the words; the category only names the run in a pipeline."""

    words: ArtifactRef
    category: str = ""


@dataclass(frozen=True)
class Total:
    """Add up counts."""

    counts: tuple[ArtifactRef, ...]
    start: int = 0


@dataclass(frozen=True)
class Slow:
    """Make the file `mark`, wait for the file `until`, then sleep in small steps."""

    seconds: float = 1.0
    after: tuple[ArtifactRef, ...] = ()
    gpu: bool = False
    step: float = 0.05
    mark: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class Flaky:
    """Fail the first time; the file `memory` gets a line for each try."""

    memory: str
    lost: bool = True


@dataclass(frozen=True)
class Broken:
    """Make the file `mark` and fail, as a user's mistake or as ours."""

    kind: str = "mesh"
    mark: str | None = None
    after: tuple[ArtifactRef, ...] = ()


@dataclass(frozen=True)
class SeeSettings:
    """Which models to look with."""

    model: ModelRef = "facebook/dinov2-small"
    also: tuple[ModelRef, ...] = ()


@dataclass(frozen=True)
class See:
    """Look at words with pretrained models, in name only."""

    words: ArtifactRef | None = None
    settings: SeeSettings = SeeSettings()


def write_words(out: Path, inputs: StageInputs, command: Words, progress: Progress) -> None:
    words = inputs.path("text").read_text().split()
    for index, _ in enumerate(words):
        progress(index, len(words), "splitting")
    (out / "words.txt").write_text("\n".join(word.upper() if command.upper else word for word in words))


def write_count(out: Path, inputs: StageInputs, command: Count, progress: Progress) -> None:
    text = (inputs.path("words") / "words.txt").read_text()
    (out / "count.txt").write_text(str(text.count(command.settings.letter)))


def write_view(out: Path, inputs: StageInputs, command: View, progress: Progress) -> None:
    (out / "view.txt").write_text((inputs.path("words") / "words.txt").read_text())


def write_total(out: Path, inputs: StageInputs, command: Total, progress: Progress) -> None:
    counts = [int((folder / "count.txt").read_text()) for folder in inputs.paths("counts")]
    (out / "total.txt").write_text(str(command.start + sum(counts)))
    (out / "report.html").write_text(f"<p>{sum(counts)}</p>")


def write_slow(out: Path, inputs: StageInputs, command: Slow, progress: Progress) -> None:
    if command.mark is not None:
        Path(command.mark).touch()
    deadline = time.monotonic() + PATIENCE_S
    while command.until is not None and not Path(command.until).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(command.until)
        time.sleep(command.step)
    n_steps = int(command.seconds / command.step)
    for step in range(n_steps):
        time.sleep(command.step)
        progress(step, n_steps, "sleeping")
    (out / "slept.txt").write_text(f"{time.time()}")


def write_flaky(out: Path, inputs: StageInputs, command: Flaky, progress: Progress) -> None:
    memory = Path(command.memory)
    before = memory.read_text() if memory.exists() else ""
    memory.write_text(before + "tried\n")
    if not before:
        raise ConnectionResetError("the line went dead") if command.lost else MeshError("a", "b", "c")
    (out / "done.txt").write_text("done")


def write_broken(out: Path, inputs: StageInputs, command: Broken, progress: Progress) -> None:
    if command.mark is not None:
        Path(command.mark).touch()
    if command.kind == "mesh":
        raise MeshError("a closed mesh", "3 holes", "Close them.")
    raise ZeroDivisionError("one over nothing")


def write_see(out: Path, inputs: StageInputs, command: See, progress: Progress) -> None:
    (out / "seen.txt").write_text("seen")


WORDS = Stage(
    "words", Words, 1, write_words, estimate_bytes=lambda command, inputs: inputs.path("text").stat().st_size
)
COUNT = Stage("count", Count, 1, write_count)
VIEW = Stage("view", View, 1, write_view)
TOTAL = Stage("total", Total, 1, write_total)
SLOW = Stage("slow", Slow, 1, write_slow, uses_gpu=lambda command: command.gpu)
FLAKY = Stage("flaky", Flaky, 1, write_flaky)
BROKEN = Stage("broken", Broken, 1, write_broken)
SEE = Stage("see", See, 1, write_see)
