"""The examples of docs/metrics.md run as they stand and print what the page says."""

import os
import re
import shlex
from pathlib import Path

import pytest

from flows.cli import main
from flows.score_fields import FIELD_METRICS

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|)\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_the_examples_print_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scored, printed = set(), ""
    for kind, text in BLOCKS[1:]:  # the first names no files
        if kind == "python":
            exec(text, {})
            capsys.readouterr()
            continue
        for line in text.splitlines():
            if line.startswith("densecorr "):
                words = shlex.split(line)[1:]
                assert main([*words, "--resamples", "20"]) == 0, capsys.readouterr().err
                scored.add(words[words.index("--metric") + 1])
                printed = capsys.readouterr().out
            else:
                assert line.split() in [one.split()[:2] for one in printed.splitlines()], (line, printed)
    assert scored == set(FIELD_METRICS) - {"segm"}


def test_every_metric_has_its_section() -> None:
    for name in FIELD_METRICS:
        assert re.search(rf"^## .*\b{name}\b", PAGE, flags=re.MULTILINE), name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--metric pck --gt none.csv --pred none.json --reference bbox", "nothing at none.csv"),
        ("--metric pck --gt none.csv --pred none.json", "a reference length: bbox, image, square"),
        ("--metric aepe --gt none.flo --pred none.flo", "a flow file at none.flo"),
        ("--metric mpvpe --gt none.npy --pred none.npy", "a file of positions at none.npy"),
        ("--metric bbox --gt none.json --pred none.json", "COCO annotations at none.json"),
        ("--metric bbox --gt none.json --pred none.json --vertex-map a:b=c.npy", "options that bbox reads"),
        ("--metric ece --gt none.json --pred none.json --alphas 0.1", "options of this metric: bins, n_bins"),
    ],
)
def test_bad_input_ends_with_2_and_a_sentence(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["score", *shlex.split(words)]) == 2
    assert message in capsys.readouterr().err
    assert not os.listdir(tmp_path)
