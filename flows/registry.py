"""Every command by name: one line each. The code of a command is imported once it is chosen.

To add a stage: a file `flows/<verb>.py` with a `STAGE`, and a line in `STAGES`. A stage of your own package
needs no line: where a command is named, `package.module:STAGE` works too. A tool is anything `tyro` can call
or build; an object that it builds is then called with the `Session`.
"""

import difflib
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from densecorr.errors import SettingsError

if TYPE_CHECKING:
    from .stage import Stage  # not at run time: `densecorr --help` reads this file and must stay quick


@dataclass(frozen=True)
class Entry:
    """A command: its name, where its code is (`module:attribute`) and one line for `--help`."""

    name: str
    target: str
    help: str

    def load(self) -> Any:
        """Import the code."""
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)


STAGES = (
    Entry("world", "flows.world:STAGE", "render a data set of bodies or animals with exact ground truth"),
    Entry("ingest", "flows.ingest:STAGE", "read a COCO, LVIS or DensePose file into a data set"),
    Entry("ingest-images", "flows.ingest_images:STAGE", "images of folders, URIs or videos as a data set"),
    Entry("silhouettes", "flows.silhouettes:STAGE", "find a category's objects by name and cut them out"),
    Entry(
        "split", "flows.split:STAGE", "assign images to splits; videos, subjects, duplicates stay together"
    ),
    Entry("charts", "flows.charts:STAGE", "DensePose chart labels (part, u, v) as vertices, or back"),
    Entry("template", "flows.template:STAGE", "check a mesh; compute its eigenbasis, geodesics and symmetry"),
    Entry("render", "flows.render:STAGE", "render a template from all around"),
    Entry("features", "flows.features:STAGE", "extract the features of a template's views"),
    Entry("encode", "flows.encode:STAGE", "encode a category's crops once, for training a decoder on them"),
    Entry("synthesise", "flows.synthesise:STAGE", "make images of a template with exact labels"),
    Entry(
        "pseudo-label", "flows.pseudo_label:STAGE", "match silhouettes to the template without any annotation"
    ),
    Entry(
        "calibrate",
        "flows.calibrate:STAGE",
        "learn which error to expect of a pseudo-label, where the truth is known",
    ),
    Entry("opinion", "flows.opinion:STAGE", "what a trained model says at the points of a label set"),
    Entry("select", "flows.select:STAGE", "choose which labels to review within so many minutes"),
    Entry(
        "blank-labels", "flows.blank_labels:STAGE", "an empty label set an instance, to annotate from scratch"
    ),
    Entry(
        "similarities", "flows.similarities:STAGE", "heat maps of the points under review, for `review open`"
    ),
    Entry("collect", "flows.collect:STAGE", "wait for the review of what was selected, or simulate it"),
    Entry("correct", "flows.correct:STAGE", "apply what reviewers decided to label sets, for training"),
    Entry("train", "flows.train:STAGE", "train a network on labels"),
    Entry(
        "evaluate", "flows.evaluate:STAGE", "score labels and models on annotated images; write the report"
    ),
    Entry("review-gain", "flows.review_gain:STAGE", "how much error each reviewed minute bought"),
)

TOOLS = (
    Entry("demo", "flows.demo:Demo", "the whole pipeline on a small rendered world; opens a report"),
    Entry(
        "ablations",
        "flows.ablations:Ablations",
        "what each part of the method is worth: the paper's tables in small",
    ),
    Entry("init", "flows.init:Init", "write a pipeline file for a COCO file and a mesh"),
    Entry(
        "run",
        "flows.run_command:Run",
        "run a pipeline file; finished stages are kept (--dry-run: show the plan)",
    ),
    Entry("predict", "flows.predict:Predict", "predict correspondences for images or a COCO file's boxes"),
    Entry(
        "transfer", "flows.transfer:Transfer", "score keypoint transfer between images (PF-PASCAL, SPair-71k)"
    ),
    Entry(
        "score",
        "flows.score:Score",
        "score result files by a protocol of the field: table and JSON, no store",
    ),
    Entry("data", "flows.data:DataCommand", "summarise, query, check, split and export data sets"),
    Entry("export", "flows.export:Export", "write a data set back as a COCO or DensePose file"),
    Entry("serve", "flows.serve:Serve", "run a pipeline file on a schedule"),
    Entry("review", "flows.review:Review", "look at a data set and its labels in FiftyOne"),
    Entry(
        "models",
        "flows.models:ModelsCommand",
        "list, download and check pretrained models and their licences",
    ),
    Entry("store", "flows.store:StoreCommand", "list, show, trace, check, tag and clean up artifacts"),
    Entry("up", "flows.background:Up", "start a local Prefect server in the background"),
    Entry("down", "flows.background:Down", "stop that server"),
    Entry("status", "flows.background:Status", "say which server and which store are used"),
    Entry("doctor", "flows.doctor:Doctor", "check this machine: packages, GPU, database, disk"),
)


def find_entry(name: str, entries: tuple[Entry, ...]) -> Entry:
    """The entry of that name.

    Raises:
        SettingsError: there is none; the message names the nearest.
    """
    by_name = {entry.name: entry for entry in entries}
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(by_name)}."
        raise SettingsError("a known command", f"'{name}'", hint)
    return by_name[name]


def load_stage(name: str) -> "Stage":
    """The stage of that name, or at that import path (`package.module:STAGE`), imported now."""
    if ":" in name:
        return _load_foreign(name)
    return find_entry(name, STAGES).load()


def _load_foreign(target: str) -> "Stage":
    from .stage import Stage

    try:
        stage = Entry(target, target, "").load()
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            "the import path of a stage, as package.module:STAGE",
            f"'{target}' ({error})",
            "Correct it, or install the package that holds it.",
        ) from error
    if not isinstance(stage, Stage):
        raise SettingsError(
            f"a flows.stage.Stage at '{target}'", type(stage).__name__, "Name the stage itself."
        )
    return stage
