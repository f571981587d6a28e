"""The panel's files as the App loads them."""

import re
from pathlib import Path

PLUGIN = Path(__file__).parents[2] / "annotation_ui" / "plugin"


def test_the_app_looks_anew_at_every_file_of_the_panel() -> None:
    """A file that the list lacks stays as the browser kept it after an upgrade, and modules of two releases mix."""
    listed = re.search(
        r"const FILES = \[(.*?)\]", (PLUGIN / "index.js").read_text(encoding="utf-8"), re.DOTALL
    )
    assert listed is not None
    names = re.findall(r'"([^"]+)"', listed[1])
    assert names == sorted(names)
    assert set(names) == {file.name for file in PLUGIN.iterdir() if file.suffix in (".js", ".css")} - {
        "index.js"
    }
