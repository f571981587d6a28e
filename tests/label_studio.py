"""What an annotator does in Label Studio, for tests."""

import json
from pathlib import Path


def submit(path: Path, form: str) -> None:
    """Take the prediction of each task over as an annotation; files of other tools stay as they are."""
    if form == "label-studio":
        tasks = json.loads(path.read_text())
        for task in tasks:
            task["annotations"] = task.pop("predictions")
        path.write_text(json.dumps(tasks))
