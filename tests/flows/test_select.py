"""`densecorr select` with a budget that no review fits in."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from densecorr.review.costs import CostModel
from flows.cli import main
from flows.select import STAGE, Select
from flows.stage import run_stage
from storage.artifacts import Store
from tests.annotation_ui.review_world import make_labels, put_dataset, put_labels, put_template

N, POINTS = 4, 10
COSTS = CostModel(per_instance=30.0, per_point=0.0)  # so each review takes half a minute


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    store = Store(tmp_path / "store")
    labels = make_labels(N, POINTS, "zero_shot", "zero")
    labels = [replace(one, expected_error=np.full(POINTS, 0.1, np.float32)) for one in labels]
    store.tag("template", put_template(store))
    store.tag("data", put_dataset(store, N))
    store.tag("labels", put_labels(store, labels, "zero"))
    return store


@pytest.mark.parametrize("order", ["information", "random"])
def test_a_budget_that_no_review_fits_in_is_an_error_that_names_the_least(
    store: Store, order: Literal["information", "random"], capsys: pytest.CaptureFixture
) -> None:
    before = {one.artifact_id for one in store.list()}
    command = ["--store", store.place.uri, "--track", "never", "select", "--dataset", "data"]
    command += ["--labels", "labels", "--template", "template", "--category", "ball", "--order", order]
    command += ["--costs.per-instance", "30", "--costs.per-point", "0"]
    assert main([*command, "--minutes", "0.4"]) == 2
    said = capsys.readouterr().err
    assert "at least 0.5 minutes" in said
    assert "received 0.4" in said
    assert {one.artifact_id for one in store.list()} == before  # nothing was made

    least = Select("data", "labels", "template", "ball", minutes=0.5, spare=0.0, order=order, costs=COSTS)
    folder = store.path(run_stage(STAGE, least, store, lambda *told: None))
    assert len((folder / "order.txt").read_text().split()) == 1
