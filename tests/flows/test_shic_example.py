"""examples/shic.toml with tiny random models in place of the real ones: the same stages, classes and calls."""

import json
from pathlib import Path

import numpy as np
import pytest

from densecorr.datasets.world_settings import WorldSettings
from flows.pipeline import read_pipeline
from flows.registry import load_stage
from flows.run_command import run_file
from flows.session import Session
from flows.stage import run_stage
from flows.world import World
from storage.datasets import read_instances, read_labels
from tests import tiny_detectors, tiny_models, tiny_synthesis

EXAMPLE = Path(__file__).parents[2] / "examples" / "shic.toml"
SMALLER = {  # in the file: in the test
    '"cuda"': '"cpu"',
    "size = 840": "size = 112",
    "settings.rig.size": "settings.rig.n_azimuths = 4\nsettings.rig.size",
    "crop_size = 336": "crop_size = 56",
    "size = 480": "size = 64",
    "images = 1000": "images = 6",
    "images = 100\n": "images = 12\n",
    "settings.points = 0": "settings.points = 60",
    'horse = { mesh = "horse.obj", unit = "m", up = "y", front = "z" }': (
        'horse = { mesh = "quadruped", n_coarse = 120, n_eigenpairs = 64 }'
    ),
    'settings.mode = "detect"': 'settings.mode = "missing"',
    'settings.preset = "shic-paper"': (
        'settings.preset = "shic-paper"\nsettings.epochs = 2\nsettings.batch_size = 4\nsettings.checkpoint_every = 2'
    ),
    'kind = "controlnet"\n': (
        'kind = "controlnet"\nsteps = 2\nsize = 64\ndepth_side = 56\n'
        "gate = { min_depth_agreement = -1.0, min_silhouette_iou = 0.0 }\n"
    ),
}


def quiet(done: int, total: int | None = None, text: str = "") -> None:
    """A progress nobody sees."""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Session]:
    """The example beside images of a quadruped without silhouettes, its models tiny; not run yet."""
    folder = tmp_path_factory.mktemp("shic")
    session = Session(str(folder / "store"), "never")
    settings = WorldSettings(category="quadruped", n_train=4, n_val=2, image_size=96)
    world = session.store.path(
        run_stage(load_stage("world"), World(settings, workers=1), session.store, quiet)
    )
    data = json.loads((world / "annotations.json").read_text())
    data["categories"][0]["name"] = "horse"
    for row in data["annotations"]:
        del row["segmentation"]
    (folder / "annotations.json").write_text(json.dumps(data))
    (folder / "photos").symlink_to(world)
    sd = tiny_models.write_stable_diffusion(folder / "sd")
    models = {
        "IDEA-Research/grounding-dino-base": tiny_detectors.write_grounding_dino(folder / "grounding-dino"),
        "facebook/sam-vit-base": tiny_detectors.write_sam(folder / "sam"),
        "facebook/dinov2-base": tiny_models.write_dinov2(folder / "dinov2"),
        "stable-diffusion-v1-5/stable-diffusion-v1-5": sd,
        "lllyasviel/control_v11f1p_sd15_depth": tiny_synthesis.write_controlnet(folder / "controlnet", sd),
        "depth-anything/Depth-Anything-V2-Small-hf": tiny_synthesis.write_depth_model(folder / "depth"),
    }
    text = EXAMPLE.read_text()
    for before, after in (SMALLER | {f'"{name}"': f'"{path}"' for name, path in models.items()}).items():
        assert before in text, before
        text = text.replace(before, after)
    path = folder / "pipeline.toml"
    path.write_text(text)
    return path, session


@pytest.fixture(scope="module")
def made(pipeline: tuple[Path, Session]) -> dict[str, Path]:
    """The folder of each stage's artifact, after a run of the whole file."""
    path, session = pipeline
    results = run_file(path, session)
    return {key.partition("[")[0]: session.store.path(r.artifact_id) for key, r in results.items()}


def test_the_example_itself_is_valid() -> None:
    nodes = {node.key for node in read_pipeline(EXAMPLE).nodes}
    assert {"silhouettes[horse]", "calibrate[horse]", "encode[horse]", "train[horse]"} <= nodes


def test_every_stage_leaves_what_it_should(made: dict[str, Path]) -> None:
    instances = read_instances(made["silhouettes"], "horse")
    assert len(instances) == 6
    sources = {item.instance.silhouette_source for item in instances}
    assert "sam" in sources
    assert sources <= {"sam", None}
    labels = read_labels(made["pseudo-label"])
    assert labels
    for label in labels.values():
        assert label.expected_error is not None
        assert np.isfinite(label.expected_error).all()
        assert "probably_mirrored" in label.extra
    assert any("view_lead" in label.extra for label in labels.values())
    assert (made["train"] / "model.safetensors").is_file()
    assert (made["evaluate"] / "report.html").is_file()
    reliability = json.loads((made["calibrate"] / "reliability.json").read_text())
    assert reliability["expected_calibration_error"] >= 0


def test_artifacts_say_which_models_they_were_made_with(made: dict[str, Path]) -> None:
    models = {
        stage: {Path(row["id"]).name for row in json.loads((made[stage] / "models.json").read_text())}
        for stage in ("features", "silhouettes", "synthesise", "encode", "train")
    }
    assert models == {
        "features": {"dinov2", "sd"},
        "silhouettes": {"sam"},
        "synthesise": {"sd", "controlnet", "depth"},
        "encode": {"dinov2"},
        "train": {"dinov2"},
    }
    assert not (made["calibrate"] / "models.json").exists()


def test_a_second_run_makes_nothing(pipeline: tuple[Path, Session], made: dict[str, Path]) -> None:
    path, session = pipeline
    assert all(not result.made for result in run_file(path, session).values())


def test_other_weights_in_the_same_folder_make_other_features(
    pipeline: tuple[Path, Session], made: dict[str, Path]
) -> None:
    from transformers import Dinov2Model

    path, session = pipeline
    folder = path.parent / "dinov2"
    model = Dinov2Model.from_pretrained(folder)
    model.layernorm.bias.data += 0.5
    model.save_pretrained(folder)
    from flows.plan import plan_pipeline

    stored = {
        step.node.key.partition("[")[0]: step.stored
        for step in plan_pipeline(read_pipeline(path), session.store)
    }
    assert stored["render"]
    assert stored["silhouettes"]
    assert not any(stored[stage] for stage in ("features", "pseudo-label", "calibrate", "encode", "train"))
