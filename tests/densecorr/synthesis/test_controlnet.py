"""The real loading and generating code on tiny random networks: what is asserted holds whatever the weights."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.config import from_jsonable, to_jsonable
from densecorr.errors import DependencyError, FeatureError, SettingsError
from densecorr.hub import named_models
from densecorr.images import write_png
from densecorr.synthesis import ControlNetGenerator, Gate, Generator, Subject, Viewpoints, depth
from densecorr.synthesis.controlnet_painter import ControlNetPainter
from tests import tiny_synthesis


@pytest.fixture(scope="module")
def painter(tiny: ControlNetGenerator) -> ControlNetPainter:
    return tiny.load()


def test_an_image_comes_with_exact_labels_its_prompt_and_both_figures(
    painter: ControlNetPainter, lopsided: Subject
) -> None:
    for made in painter(lopsided, 0, [0, 1]):
        assert made.image.shape == (64, 64, 3)
        assert made.image.std() > 0
        fragments = lopsided.scene.fragments(made.view.camera)
        assert_array_equal(made.silhouette, fragments.face >= 0)
        assert_array_equal(made.vertex >= 0, made.silhouette)
        assert made.prompt.startswith("a photo of a nose, ")
        assert made.verdict.kept
        assert -1 <= made.verdict.depth_agreement <= 1
        assert 0 <= made.verdict.silhouette_iou <= 1


def test_an_image_depends_on_seed_and_index_and_not_on_its_batch(
    painter: ControlNetPainter, lopsided: Subject
) -> None:
    together = painter(lopsided, 0, [0, 1, 2])
    for made in together:
        (alone,) = painter(lopsided, 0, [made.index])
        (again,) = painter(lopsided, 0, [made.index])
        assert alone.seed == made.seed
        assert_array_equal(alone.image, again.image)
        # the same networks on other batch sizes: equal up to rounding
        assert_allclose(alone.image.astype(int), made.image.astype(int), atol=1)
    (other,) = painter(lopsided, 1, [0])
    images = [made.image.tobytes() for made in together]
    assert len({*images, other.image.tobytes()}) == 4


def test_the_image_follows_prompt_depth_and_guidance(tiny: ControlNetGenerator, lopsided: Subject) -> None:
    variants = [
        tiny,
        replace(tiny, prompt="b {category} c"),
        replace(tiny, control_scale=0.0),
        replace(tiny, guidance=1.0),
    ]
    images = [settings.load()(lopsided, 0, [0])[0].image.tobytes() for settings in variants]
    assert len(set(images)) == len(variants)


def test_half_precision_makes_images_too(tiny: ControlNetGenerator, lopsided: Subject) -> None:
    (made,) = replace(tiny, precision="bf16").load()(lopsided, 0, [0])
    assert made.image.std() > 0
    assert made.verdict.kept


def test_the_condition_has_the_template_before_a_photograph(
    tiny: ControlNetGenerator, lopsided: Subject, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    write_png(tmp_path / "wood.png", noise)
    plan = tiny.load(backgrounds=tmp_path).plan(lopsided, 0, 3)
    assert plan.background == "wood.png"
    assert plan.condition is not None
    assert plan.condition.depth[plan.condition.silhouette].min() > plan.condition.background.max()
    assert plan.condition.background.std() > 0


def test_images_that_disagree_are_dropped_with_their_figures(
    tiny: ControlNetGenerator, lopsided: Subject
) -> None:
    strict = replace(tiny, gate=Gate(min_depth_agreement=1.0, min_silhouette_iou=1.0))
    (made,) = strict.load()(lopsided, 0, [0])
    assert made.verdict.reason == "depth differs"
    assert made.verdict.depth_agreement is not None
    assert made.image.std() > 0


@pytest.mark.parametrize("flags", [True, False])
def test_the_safety_checker_drops_what_it_flags(
    tiny: ControlNetGenerator, lopsided: Subject, tmp_path: Path, flags: bool
) -> None:
    settings = replace(tiny_synthesis.write_generator(tmp_path), safety_checker=True)
    tiny_synthesis.write_safety_checker(Path(settings.model), flags=flags)
    (made,) = settings.load()(lopsided, 0, [0])
    assert made.verdict.reason == ("flagged by the safety checker" if flags else "")
    if not flags:
        (unchecked,) = tiny.load()(lopsided, 0, [0])
        assert_array_equal(made.image, unchecked.image)


def test_a_safety_checker_that_is_asked_for_must_be_there(tiny: ControlNetGenerator) -> None:
    with pytest.raises(DependencyError, match="safety_checker"):
        replace(tiny, safety_checker=True).load()


def test_images_that_are_not_finite_are_an_error(
    painter: ControlNetPainter, lopsided: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Overflow:
        def __call__(self, **given: object) -> SimpleNamespace:
            return SimpleNamespace(
                images=np.full((1, 64, 64, 3), np.nan, np.float32), nsfw_content_detected=None
            )

    monkeypatch.setattr(painter, "_pipeline", Overflow())
    with pytest.raises(FeatureError, match="precision"):
        painter(lopsided, 0, [0])


@pytest.mark.parametrize("offload", [False, True])
def test_offloading_is_for_the_depth_model_too(
    tiny: ControlNetGenerator, monkeypatch: pytest.MonkeyPatch, offload: bool
) -> None:
    asked, place = [], depth.place_network
    monkeypatch.setattr(depth, "place_network", lambda *given: asked.append(given[3]) or place(*given))
    tiny.load(offload=offload)
    assert asked == [offload]


def test_a_view_of_nothing_is_dropped_without_a_run(painter: ControlNetPainter, lopsided: Subject) -> None:
    away = replace(lopsided, scene=replace_scene(lopsided))
    (made,) = painter(away, 0, [0])
    assert made.verdict.reason == "nothing visible"
    assert not made.silhouette.any()


def replace_scene(subject: Subject):
    """A scene whose every view is empty."""

    class Empty:
        def fragments(self, camera):
            full = subject.scene.fragments(camera)
            return replace(full, face=np.full_like(full.face, -1))

    return Empty()


def test_settings_say_which_models_they_name_and_survive_a_round_trip(tiny: ControlNetGenerator) -> None:
    default = ControlNetGenerator()
    assert named_models(default) == (
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "lllyasviel/control_v11f1p_sd15_depth",
        "depth-anything/Depth-Anything-V2-Small-hf",
    )
    for settings in (default, tiny):
        assert from_jsonable(Generator, to_jsonable(settings)) == settings


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"steps": 0}, "steps"), ({"size": 60}, "size"), ({"size": 68}, "multiple of 8"), ({"batch_size": 0}, "batch"),
        ({"prompt": "{"}, "prompt"), ({"viewpoints": Viewpoints(())}, "azimuths"), ({"depth_side": 60}, "depth_side"),
        ({"precision": "fp16"}, "fp16"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_before_anything_is_loaded(changed: dict, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        replace(ControlNetGenerator(), **changed).load()
