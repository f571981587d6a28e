"""docs/review.md says what the panel does."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r'^\s*\["([^"]+)", "[^"]+", "([^"]+)", "([^"]+)",', re.M)


def test_the_keys_in_the_docs_are_those_of_the_panel() -> None:
    text = (ROOT / "docs/review.md").read_text(encoding="utf-8")
    section = text.split("\n## Keys\n")[1].split("\n## ")[0]
    told = re.findall(r"^\| (.+?) \| `(.+?)` \| (.+) \|$", section, re.M)
    table = (ROOT / "annotation_ui/plugin/keys.js").read_text(encoding="utf-8")
    assert len(told) > 30
    assert told == ROW.findall(table)
