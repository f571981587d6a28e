"""The learning stages on a tiny rendered world, from images to a report, without an orchestrator."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from densecorr.config import from_jsonable
from densecorr.datasets.world_settings import WorldSettings
from densecorr.errors import EmptyInstanceError, SettingsError, TrainingError
from densecorr.pseudolabels import LabelFilter, ZeroShotSettings
from densecorr.records import LabelRecord
from densecorr.rendering.cameras import RigSettings
from densecorr.rendering.views import ViewSettings
from densecorr.synthesis import ProceduralGenerator, Viewpoints
from densecorr.templates import TemplateSettings, read_template
from densecorr.training import TrainSettings
from flows.evaluate import Evaluate
from flows.features import ExtractFeatures
from flows.ingest import Ingest
from flows.labelled import labelled_instances
from flows.predict import Predict, whole_pixels
from flows.pseudo_label import PseudoLabel
from flows.registry import load_stage
from flows.render import Render
from flows.session import Session
from flows.stage import run_stage
from flows.synthesise import Synthesise
from flows.template import TemplateCommand
from flows.train import Train
from flows.world import World
from storage.artifacts import Store
from storage.datasets import read_instances, read_labels
from storage.rows import records_to_table
from storage.tables import write_tables

AZIMUTHS = ((-100.0, -20.0), (20.0, 100.0))
ZERO_SHOT = ZeroShotSettings(pooling="auto", azimuths=AZIMUTHS, points=60)
SHORT = from_jsonable(
    TrainSettings, {"steps": 4, "batch_size": 4, "synthetic_batch": 2, "checkpoint_every": 2}
)


def quiet(done: int, total: int | None = None, text: str = "") -> None:
    """A progress nobody sees."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Every artifact of a tiny pipeline by stage, and its store."""
    root = tmp_path_factory.mktemp("store")
    store = Store(root)

    def run(verb: str, command: object) -> str:
        return run_stage(load_stage(verb), command, store, quiet)

    world = run("world", World(WorldSettings(category="quadruped", n_train=8, n_val=4), workers=1))
    ids = SimpleNamespace(root=root, store=store, run=run, world=world)
    ids.dataset = run("ingest", Ingest(f"{world}/annotations.json", world))
    small = TemplateSettings(n_coarse=150, n_eigenpairs=64)
    ids.template = run("template", TemplateCommand("quadruped", "quadruped", settings=small))
    rig = RigSettings(n_azimuths=12, elevations=(10.0,), size=192)
    ids.views = run("render", Render(ids.template, settings=ViewSettings(rig)))
    ids.features = run("features", ExtractFeatures(ids.template, ids.views))
    shared = {"dataset": ids.dataset, "template": ids.template, "category": "quadruped"}
    ids.label = PseudoLabel(features=ids.features, split="train", settings=ZERO_SHOT, **shared)
    ids.labels = run("pseudo-label", ids.label)
    generator = ProceduralGenerator(size=96, viewpoints=Viewpoints(azimuths=AZIMUTHS))
    ids.synthetic = run(
        "synthesise", Synthesise(ids.template, "quadruped", images=6, points=50, generator=generator)
    )
    ids.train = Train(labels=ids.labels, split="train", synthetic=ids.synthetic, settings=SHORT, **shared)
    ids.model = run("train", ids.train)
    ids.truth_model = run("train", replace(ids.train, labels=None))
    ids.score = Evaluate(
        labels=ids.labels, features=ids.features, models=(ids.model, ids.truth_model), split="val",
        zero_shot=ZERO_SHOT, **shared,
    )  # fmt: skip
    ids.report = run("evaluate", ids.score)
    return ids


def test_labels_know_their_template_score_margin_and_cycle(made: SimpleNamespace) -> None:
    labels = read_labels(made.store.path(made.labels))
    template = read_template(made.store.path(made.template))
    instances = read_instances(made.store.path(made.dataset), "quadruped", "train")
    assert set(labels) == {item.instance.instance_id for item in instances}
    for item in instances:
        label, silhouette = labels[item.instance.instance_id], item.silhouette()
        assert label.source == "zero_shot"
        assert label.producer == made.labels
        assert len(label.vertex) == 60
        assert np.isin(label.vertex, template.coarse).all()
        assert (np.abs(label.score) <= 1 + 1e-5).all()
        assert (label.cycle_px >= 0).all()
        inside = silhouette[np.rint(label.y).astype(int), np.rint(label.x).astype(int)]
        assert inside.mean() > 0.9  # a cell's centre may lie just outside a thin limb


def test_zero_shot_labels_are_far_better_than_chance(made: SimpleNamespace) -> None:
    metrics = json.loads((made.store.path(made.report) / "metrics.json").read_text())
    error = {
        name: method["overall"]["figures"]["geodesic_error_228"]["value"]
        for name, method in metrics["methods"].items()
    }
    assert error["zero-shot"] < 0.7 * error["chance"]


def test_no_truth_reaches_the_pseudo_labels(made: SimpleNamespace, tmp_path: Path) -> None:
    """The same images with other annotations of points give the same labels, model and choice of pooling."""
    folder = made.store.path(made.world)
    data = json.loads((folder / "annotations.json").read_text())
    for row in data["annotations"]:
        row["dp_vertex"] = row["dp_vertex"][::-1]
        row["densecorr"] = {}
    changed = tmp_path / "annotations.json"
    changed.write_text(json.dumps(data))
    other = made.run("ingest", Ingest(str(changed), made.world))
    assert other != made.dataset
    labels = made.run("pseudo-label", replace(made.label, dataset=other))
    first, second = (read_labels(made.store.path(artifact)) for artifact in (made.labels, labels))
    for instance_id, label in first.items():
        np.testing.assert_array_equal(label.vertex, second[instance_id].vertex)
        np.testing.assert_array_equal(label.score, second[instance_id].score)
    model = made.run("train", replace(made.train, dataset=other, labels=labels))
    tensors = [
        (made.store.path(artifact) / "model.safetensors").read_bytes() for artifact in (made.model, model)
    ]
    assert tensors[0] == tensors[1]


def test_a_second_run_takes_everything_from_the_store(made: SimpleNamespace) -> None:
    before = {manifest.artifact_id for manifest in made.store.list()}
    assert made.run("pseudo-label", made.label) == made.labels
    assert made.run("train", made.train) == made.model
    assert made.run("evaluate", made.score) == made.report
    assert {manifest.artifact_id for manifest in made.store.list()} == before


def test_labelling_goes_on_after_a_stop_with_the_same_bytes(
    made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.pseudo_label.INSTANCES_A_SHARD", 2)
    fresh, stage = Store(tmp_path / "store"), load_stage("pseudo-label")
    for artifact in (made.dataset, made.template, made.features, made.world):
        link_artifact(made.store, tmp_path / "store", artifact)

    def stop_after_four(done: int, total: int | None = None, text: str = "") -> None:
        if done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, made.label, fresh, stop_after_four)
    seen: list[int] = []
    artifact = run_stage(stage, made.label, fresh, lambda done, total=None, text="": seen.append(done))
    assert min(seen) >= 2  # the first shards were there
    assert artifact == made.labels
    for first, second in zip(
        read_labels(made.store.path(made.labels)).values(),
        read_labels(fresh.path(artifact)).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(first.vertex, second.vertex)


def link_artifact(source: Store, root: Path, artifact: str) -> None:
    """Let the store at `root` have an artifact of another store."""
    folder = source.path(artifact)
    place = root / folder.parent.name / folder.name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(folder)


def test_evaluation_scores_every_method_at_the_same_points(made: SimpleNamespace) -> None:
    folder = made.store.path(made.report)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics["methods"]) != []
    points = {method["overall"]["n_points"] for method in metrics["methods"].values()}
    assert points == {4 * 100}
    assert {"chance", "position prior", "zero-shot", "trained on pseudo-labels", "trained on truth"} <= set(
        metrics["methods"]
    )
    assert len(metrics["zero_shot_variants"]) == 6
    assert metrics["zero_shot_chosen"].endswith("azimuths of the data")
    report = (folder / "report.html").read_text()
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert "Zero-shot variants" in report


def test_without_annotations_the_report_says_what_is_missing(made: SimpleNamespace, tmp_path: Path) -> None:
    data = json.loads((made.store.path(made.world) / "annotations.json").read_text())
    for row in data["annotations"]:
        for key in [key for key in row if key.startswith("dp_")] + ["ref_model"]:
            del row[key]
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps(data))
    dataset = made.run("ingest", Ingest(str(plain), made.world))
    command = replace(made.score, dataset=dataset, split="train")
    report = (made.store.path(made.run("evaluate", command)) / "report.html").read_text()
    assert "no annotated points" in report
    with pytest.raises(EmptyInstanceError):
        made.run("evaluate", replace(command, labels=None, models=()))


def test_predictions_cover_the_boxes_and_name_vertices(made: SimpleNamespace, tmp_path: Path) -> None:
    world = made.store.path(made.world)
    session = Session(str(made.root))
    command = Predict(
        (world / "images",), made.model, tmp_path, boxes=world / "annotations.json", silhouettes=True
    )
    command(session)
    rows = json.loads((tmp_path / "pred.json").read_text())
    assert len(rows) == 12
    n_vertices = len(read_template(made.store.path(made.template)).V)
    for row in rows:
        vertices = np.load(tmp_path / row["vertices"])["vertices"]
        assert vertices.shape == (row["bbox"][3], row["bbox"][2])
        assert vertices.dtype == np.int32
        assert -1 <= vertices.min() < vertices.max() < n_vertices
    assert len(list((tmp_path / "overlays").iterdir())) == 12


def test_whole_pixels_hold_the_box() -> None:
    assert whole_pixels((1.2, 3.0, 4.0, 5.0)) == (1.0, 3.0, 5.0, 5.0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda train: replace(train, category="zebra"), EmptyInstanceError),
        (lambda train: replace(train, split="test"), EmptyInstanceError),
        (lambda train: replace(train, filter=LabelFilter(instances=0.0)), SettingsError),
    ],
)
def test_training_says_what_is_wrong(
    made: SimpleNamespace, change: Callable[[Train], Train], error: type
) -> None:
    with pytest.raises(error):
        made.run("train", change(made.train))


def test_labels_of_another_mesh_are_refused(made: SimpleNamespace, tmp_path: Path) -> None:
    template = made.run(
        "template",
        TemplateCommand("quadruped", str(write_ball(tmp_path)), settings=TemplateSettings(n_coarse=40)),
    )
    with pytest.raises(TrainingError, match="another mesh"):
        made.run("train", replace(made.train, template=template))


def write_ball(folder: Path) -> Path:
    """A sphere of 162 vertices."""
    import trimesh

    path = folder / "ball.off"
    trimesh.creation.icosphere(subdivisions=2).export(path)
    return path


def test_the_filter_keeps_the_share_asked_for(made: SimpleNamespace) -> None:
    template = read_template(made.store.path(made.template))
    folders = made.store.path(made.dataset), made.store.path(made.labels)
    every = labelled_instances(*folders, template, "quadruped", "train", LabelFilter(1.0, 1.0, mirrored=True))
    half = labelled_instances(*folders, template, "quadruped", "train", LabelFilter(0.5, 0.5, mirrored=True))
    assert (len(every), len(half)) == (8, 4)
    assert sum(len(item.vertex) for item in every) == 8 * 60
    assert sum(len(item.vertex) for item in half) == pytest.approx(4 * 30, abs=2)


def test_the_few_points_of_a_reviewed_label_set_weigh_as_much_as_a_full_one(
    made: SimpleNamespace, tmp_path: Path
) -> None:
    template = read_template(made.store.path(made.template))
    first, second, *others = read_labels(made.store.path(made.labels)).values()
    few = {name: np.asarray(getattr(first, name))[:5] for name in ("x", "y", "vertex")}
    reviewed = LabelRecord(
        "r", first.instance_id, first.template_id, "correction", **few, producer="p", weight=2.0
    )
    table = records_to_table("labels", [reviewed, replace(second, weight=1.0), *others])
    write_tables(tmp_path, {"labels": table})
    rule = LabelFilter(1.0, 1.0, mirrored=True)
    dataset = made.store.path(made.dataset)
    chosen = labelled_instances(dataset, tmp_path, template, "quadruped", None, rule, 20)
    points = {one.instance_id: one for one in chosen.points()}
    assert len(points[first.instance_id].vertex) == 5
    assert points[first.instance_id].weight.sum() == pytest.approx(2 * 20)
    assert points[second.instance_id].weight[:20].sum() == pytest.approx(20)
