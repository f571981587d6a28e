import pytest

from densecorr.config import from_jsonable, to_jsonable
from densecorr.detection import SilhouetteSettings
from densecorr.errors import SettingsError
from densecorr.hub import named_models


@pytest.mark.parametrize(
    ("category", "prompt"),
    [("horse", "a horse."), ("Elephant", "an elephant."), ("potted_plant", "a potted plant.")],
)
def test_the_prompt_is_the_category_as_the_detector_wants_it(category: str, prompt: str) -> None:
    assert SilhouetteSettings().prompt(category) == prompt


def test_other_words_for_a_category() -> None:
    settings = SilhouetteSettings(prompts={"tvmonitor": "A television screen."})
    assert settings.prompt("tvmonitor") == "a television screen."
    assert settings.prompt("horse") == "a horse."


def test_settings_survive_json_and_name_their_models() -> None:
    settings = SilhouetteSettings(prompts={"cow": "cattle"}, segmenter="facebook/sam-vit-huge@abc")
    assert from_jsonable(SilhouetteSettings, to_jsonable(settings)) == settings
    assert named_models(settings) == ("IDEA-Research/grounding-dino-base", "facebook/sam-vit-huge@abc")


@pytest.mark.parametrize("name", ["box_threshold", "text_threshold", "nms"])
def test_thresholds_are_shares(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        SilhouetteSettings(**{name: 1.5})


def test_filling_in_names_no_detector() -> None:
    settings = SilhouetteSettings(mode="missing", detector="someone/else")
    assert named_models(settings) == ("facebook/sam-vit-base",)
    assert from_jsonable(SilhouetteSettings, to_jsonable(settings)) == settings
