"""Heat maps of the points under review: the same similarities as labels are made from, on a tiny rendered world."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from densecorr.datasets.world_settings import WorldSettings
from densecorr.errors import ArtifactError, SettingsError
from densecorr.pseudolabels import ZeroShotSettings
from densecorr.pseudolabels.point_scores import quantise_scores
from densecorr.rendering.cameras import RigSettings
from densecorr.rendering.views import ViewSettings
from densecorr.review.ranking import RankingSettings
from densecorr.templates import TemplateSettings, read_template
from densecorr.view_matching import UNSEEN, Pooling
from flows.features import ExtractFeatures
from flows.ingest import Ingest
from flows.pseudo_label import PseudoLabel
from flows.registry import load_stage
from flows.render import Render
from flows.select import Select
from flows.similarities import ComputeSimilarities
from flows.stage import run_stage
from flows.template import TemplateCommand
from flows.world import World
from storage.artifacts import Store
from storage.datasets import read_labels
from storage.similarities import (
    PointSimilarities,
    SimilarityReader,
    write_similarity_facts,
    write_similarity_shard,
)


def quiet(done: int, total: int | None = None, text: str = "") -> None:
    """A progress nobody sees."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A data set, a template and its features, coarse and full."""
    store = Store(tmp_path_factory.mktemp("store"))

    def run(verb: str, command: object) -> str:
        return run_stage(load_stage(verb), command, store, quiet)

    world = run("world", World(WorldSettings(category="quadruped", n_train=3, n_val=1), workers=1))
    ids = SimpleNamespace(
        store=store, run=run, dataset=run("ingest", Ingest(f"{world}/annotations.json", world))
    )
    small = TemplateSettings(n_coarse=150, n_eigenpairs=16)
    ids.template = run("template", TemplateCommand("quadruped", "quadruped", settings=small))
    rig = RigSettings(n_azimuths=8, elevations=(10.0,), size=192)
    views = run("render", Render(ids.template, settings=ViewSettings(rig)))
    ids.features = run("features", ExtractFeatures(ids.template, views))
    ids.full = run("features", ExtractFeatures(ids.template, views, level="full"))
    ids.shared = {"dataset": ids.dataset, "template": ids.template, "category": "quadruped"}
    return ids


def heat_of(made: SimpleNamespace, labels: str, **change: object) -> tuple[Path, SimilarityReader]:
    command = ComputeSimilarities(labels=labels, **({"features": made.features} | made.shared | change))
    folder = made.store.path(made.run("similarities", command))
    return folder, SimilarityReader(folder)


@pytest.mark.parametrize(
    ("pooling", "level"), [("max", "features"), ("mean", "features"), ("best", "features"), ("max", "full")]
)
def test_a_pseudo_label_s_vertex_is_the_most_alike(
    made: SimpleNamespace, pooling: Pooling, level: str
) -> None:
    settings = ZeroShotSettings(pooling=pooling, points=25)
    features = getattr(made, level)
    labels = made.run("pseudo-label", PseudoLabel(features=features, settings=settings, **made.shared))
    _, heat = heat_of(made, labels, features=features)  # 'auto' is as the labels were pooled
    sets = read_labels(made.store.path(labels))
    assert len(sets) == 4
    for key, label in sets.items():
        for x, y, vertex in zip(label.x.tolist(), label.y.tolist(), label.vertex, strict=True):
            values = heat.at(key, x, y, 0.5)
            assert values is not None
            assert values[vertex] == 255 == values.max()
            assert len(np.unique(values)) > 10


def test_many_vertices_are_kept_at_the_coarse_level(made: SimpleNamespace) -> None:
    settings = ZeroShotSettings(points=25)
    labels = made.run("pseudo-label", PseudoLabel(features=made.full, settings=settings, **made.shared))
    folder, heat = heat_of(made, labels, features=made.full, vertices=200)
    _, whole = heat_of(made, labels, features=made.full)
    template = read_template(made.store.path(made.template))
    assert np.load(folder / "shards/shard-00000/values.npy", mmap_mode="r").shape == (
        100,
        len(template.coarse),
    )
    key, label = next(iter(read_labels(made.store.path(labels)).items()))
    place = float(label.x[0]), float(label.y[0])
    coarse, full = heat.at(key, *place, 1.0), whole.at(key, *place, 1.0)
    assert coarse is not None
    assert full is not None
    np.testing.assert_array_equal(coarse, coarse[template.coarse][template.to_coarse])
    seen = full[template.coarse] > 0
    order = np.corrcoef(coarse[template.coarse][seen], full[template.coarse][seen])[0, 1]
    assert order > 0.999  # stretched over another range


def test_selected_labels_are_compared_as_those_they_were_chosen_from(made: SimpleNamespace) -> None:
    settings = ZeroShotSettings(pooling="auto", azimuths=((-100.0, 100.0),), points=25)
    labels = made.run("pseudo-label", PseudoLabel(features=made.features, settings=settings, **made.shared))
    selected = made.run(
        "select", Select(labels=labels, points=6, order="random", ranking=RankingSettings(), **made.shared)
    )
    folder, heat = heat_of(made, selected)
    summary = json.loads((made.store.path(labels) / "summary.json").read_text())
    facts = json.loads((folder / "similarities.json").read_text())
    assert (facts["pooling"], facts["azimuths"]) == (summary["pooling"], summary["azimuths"])
    for key, label in read_labels(made.store.path(selected)).items():
        x, y = float(label.x[0]), float(label.y[0])
        values = heat.at(key, x, y, 2.0)
        assert values is not None
        assert values[label.vertex[0]] == 255
        assert heat.at(key, x + 500, y, 2.0) is None
    assert heat.at("nobody", 0.0, 0.0, 1e9) is None


def test_what_does_not_belong_together_is_refused(made: SimpleNamespace) -> None:
    settings = TemplateSettings(n_coarse=50, n_eigenpairs=4)
    other = made.run("template", TemplateCommand("quadruped", "quadruped", settings=settings))
    with pytest.raises(SettingsError, match="features made from the template"):
        heat_of(made, made.dataset, template=other)
    with pytest.raises(ArtifactError, match="similarities"):
        SimilarityReader(made.store.path(made.dataset))


def test_bytes_span_each_points_own_scores() -> None:
    scores = np.array([[0.2, 0.4, UNSEEN, 0.6], [0.5, 0.5, 0.5, UNSEEN], [UNSEEN] * 4], np.float32)
    values, span = quantise_scores(scores)
    assert values.tolist() == [[1, 128, 0, 255], [1, 1, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(span[:2], [[0.2, 0.6], [0.5, 0.5]], atol=1e-6)


def test_one_point_of_many_is_read_in_milliseconds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for shard in range(4):
        found = [
            PointSimilarities(
                f"{shard}/{i}",
                rng.random((40, 2)) * 500,
                rng.integers(0, 255, (40, 2500), dtype=np.uint8),
                np.zeros((40, 2), np.float32),
            )
            for i in range(64)
        ]
        (tmp_path / "shards").mkdir(exist_ok=True)
        write_similarity_shard(tmp_path / "shards" / f"shard-{shard:05d}", found, 2500)
    write_similarity_facts(tmp_path, "t", rng.integers(0, 2500, 27_000), {})
    reader = SimilarityReader(tmp_path)
    times = []
    for i in range(40):
        began = time.process_time()  # what else the machine does must not count
        values = reader.at(f"{i % 4}/{i}", 250.0, 250.0, 500.0)
        times.append(time.process_time() - began)
        assert values is not None
        assert len(values) == 27_000
    assert np.median(times) < 0.02


def test_a_run_that_was_stopped_goes_on_and_the_second_writes_nothing(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.similarities.INSTANCES_A_SHARD", 1)
    settings = ZeroShotSettings(points=25)
    labels = made.run("pseudo-label", PseudoLabel(features=made.features, settings=settings, **made.shared))
    command = ComputeSimilarities(labels=labels, features=made.features, vertices=9999, **made.shared)
    stage, compared = load_stage("similarities"), []

    def stop(done: int, total: int | None = None, text: str = "") -> None:
        if done == 2:
            raise KeyboardInterrupt

    def note(done: int, total: int | None = None, text: str = "") -> None:
        compared.append(done)

    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, command, made.store, stop)
    artifact = run_stage(stage, command, made.store, note)
    assert compared == [2, 3]
    assert run_stage(stage, command, made.store, note) == artifact
    assert compared == [2, 3]
    assert len(list(made.store.path(artifact).glob("shards/*"))) == 4
