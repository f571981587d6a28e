"""The ablation flow: its pipeline, its statistics, and (slow) the whole of it in tiny."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.ablation_pipeline import AblationSize, ablation_rows, ablation_text, labels_of
from flows.ablation_report import SeedResult, difference, orderings, table_lines, verdict, write_page
from flows.ablations import Ablations
from flows.pipeline import read_pipeline
from flows.session import Session

SIZE = AblationSize(images=30, counts=(10, 30, 60), n_val=4)


def test_the_pipeline_trains_every_row_on_its_own_labels(tmp_path: Path) -> None:
    path = tmp_path / "seed.toml"
    path.write_text(ablation_text(SIZE, 3, [[-60.0, 60.0]]))
    nodes = {node.key: node.command for node in read_pipeline(path).nodes}
    rows = ablation_rows(SIZE)
    assert rows[0].key == "base"
    for row in rows:
        train = nodes[f"train-{row.key}"]
        assert train.labels == f"@labels-{labels_of(row, rows[0])}"
        assert train.dataset == f"@ingest-{row.images}"
        assert train.settings.seed == 3
        assert (train.synthetic is None) == (row.key == "no-synthetic")
    assert nodes["train-no-distance"].settings.loss.distance == 0
    assert nodes["train-no-distance"].settings.loss.cycle == nodes["train-base"].settings.loss.cycle > 0
    assert nodes["train-base"].settings.loss.equivariance > 0
    pseudo = nodes["train-no-pseudo"].settings.loss
    assert (pseudo.pseudo, pseudo.distance) == (0, 0)
    assert min(pseudo.cycle, pseudo.equivariance, pseudo.synthetic) > 0
    real = nodes["train-no-real"].settings.loss
    assert (real.pseudo, real.cycle, real.equivariance, real.foreground) == (0, 0, 0, 0)
    assert nodes["render-normals-8"].settings.rig.n_azimuths * 1 == 8
    assert nodes["render-shaded-72"].settings.style == "shaded"
    assert nodes["labels-mean"].settings.pooling == "mean"
    assert nodes["labels-images-10"].dataset == "@ingest-10"
    assert len(nodes["evaluate"].models) == len(rows)


def results(shift: dict[str, float], seeds: int = 3, n: int = 200) -> list[SeedResult]:
    """Each row's errors: the base's, moved by `shift` and a little noise."""
    out = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        base = rng.uniform(5, 40, n)
        errors = {
            row.key: base + rng.normal(0, 1, n) + shift.get(row.key, 0.0) for row in ablation_rows(SIZE)
        }
        errors |= {"base": base, "zero-shot": base + 3}
        keys = [row.key for row in ablation_rows(SIZE)]
        labels = {key: 20.0 for key in keys if key in ("base", "mean")}
        out.append(SeedResult(seed, errors, labels, dict.fromkeys(keys, 50.0)))
    return out


def test_differences_are_paired_and_their_interval_holds_the_truth() -> None:
    mean, low, high = difference(results({"mean": 2.0}), "mean")
    assert low < 2.0 < high
    assert mean == pytest.approx(2.0, abs=0.2)
    assert high - low < 1.0  # far less than the spread of the errors themselves: they are paired
    assert difference(results({}), "base") == (0.0, 0.0, 0.0)


def test_a_seed_that_disagrees_widens_the_interval() -> None:
    odd = results({"mean": 2.0})
    odd[2].errors["mean"] -= 6.0
    _, low, high = difference(odd, "mean")
    assert low < 0 < high


def test_orders_are_compared_with_the_paper_s() -> None:
    assert "same order" in verdict("mean", (1.0, 0.5, 1.5))
    assert "other way round" in verdict("mean", (-1.0, -1.5, -0.5))
    assert "not clear" in verdict("mean", (0.1, -0.5, 0.6))
    assert verdict("views-8", (1.0, 0.5, 1.5)) == ""


def test_the_page_has_a_line_for_every_row_and_says_what_is_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.ablation_report.N_RESAMPLES", 100)  # each row's interval is drawn three times
    rows, found = ablation_rows(SIZE), results({"no-pseudo": 30.0, "mean": -2.0})
    page = write_page(tmp_path, rows, found, SIZE)
    lines = table_lines(rows, found)
    assert len(lines) == len(rows) + 2
    assert len({line.count("|") for line in lines}) == 1
    said = orderings(rows, found)
    assert "no pseudo-labels" in said[0]
    assert "mean pooling" in said[1]
    assert "mean pooling" in said[3]  # the paper has it the other way round
    assert "3.0 [" in page  # the base against zero-shot
    data = json.loads((tmp_path / "ablations.json").read_text())
    assert data["rows"]["no-pseudo"]["less_base"][0] == pytest.approx(30, abs=0.3)


@pytest.mark.slow
def test_the_whole_flow_in_tiny(tmp_path: Path) -> None:
    size = AblationSize(12, (6, 12), n_val=3, n_coarse=100, n_eigenpairs=64, steps=3, synthetic=16)
    command = Ablations(tmp_path / "out", seeds=(0,), size=size)
    command(Session(str(tmp_path / "store"), "never"))
    page = (tmp_path / "out" / "ablations.md").read_text()
    assert "| Table 6 | 6 training images |" in page
