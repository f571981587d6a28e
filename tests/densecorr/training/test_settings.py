import pytest

from densecorr.config import from_jsonable, to_jsonable
from densecorr.errors import SettingsError
from densecorr.losses import ShicLoss
from densecorr.models import DecoderBackbone, UNetBackbone
from densecorr.training.settings import TrainSettings, learning_rate_at, with_steps


def preset(name: str, **changed) -> TrainSettings:
    return from_jsonable(TrainSettings, {"preset": name, **changed})


def test_shic_cpu_is_the_default() -> None:
    assert preset("shic-cpu") == TrainSettings()


def test_shic_paper_is_the_paper_s_recipe() -> None:
    """Sec. 3.4 (D = 16, Q = 64, plain products), 3.6 (weights) and 7.2 (Adam, rate, epochs)."""
    settings = preset("shic-paper")
    assert settings.epochs == 40
    assert (settings.optimizer, settings.learning_rate, settings.weight_decay) == ("adam", 1e-3, 0.0)
    model = settings.model
    assert (model.embedding, model.n_eigenfunctions, model.unit, model.temperature) == (16, 64, "none", 1.0)
    assert isinstance(model.backbone, DecoderBackbone)
    assert len(model.backbone.widths) == 5
    loss, paper = to_jsonable(settings.loss), to_jsonable(ShicLoss.paper())
    assert loss | {"cycle_points": None} == paper | {"cycle_points": None}
    run = with_steps(settings, 160)  # ten steps an epoch
    assert run.steps == 400
    assert [learning_rate_at(step, run) for step in (0, 199, 200, 399)] == pytest.approx(
        [1e-3, 1e-3, 1e-4, 1e-4]
    )


def test_other_keys_override_the_preset_also_inside_tables() -> None:
    settings = preset("shic-paper", epochs=3, loss={"cycle": 0.0}, model={"backbone": {"upsample": 2}})
    assert settings.epochs == 3
    assert settings.loss.cycle == 0.0
    assert settings.loss.pseudo == 0.1
    assert settings.model.backbone == DecoderBackbone(upsample=2)
    plain = preset("shic-paper", model={"backbone": {"kind": "unet", "widths": [8, 8]}})
    assert plain.model.backbone == UNetBackbone(widths=(8, 8))


def test_only_the_resolved_settings_remain() -> None:
    data = to_jsonable(preset("shic-paper"))
    assert "preset" not in data
    assert "PRESETS" not in data
    assert from_jsonable(TrainSettings, data) == preset("shic-paper")


@pytest.mark.parametrize("name", ["shic-papr", "", None])
def test_an_unknown_preset_names_the_known_ones(name) -> None:
    with pytest.raises(SettingsError, match=r"shic-cpu.*shic-paper.*'preset'"):
        from_jsonable(TrainSettings, {"preset": name})


@pytest.mark.parametrize(
    "changed", [{"batch_size": 0}, {"steps": 0}, {"epochs": -1}, {"log_every": 0}, {"points": 0}]
)
def test_numbers_that_mean_nothing_are_refused_before_anything_starts(changed: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match=next(iter(changed))):
        from_jsonable(TrainSettings, changed)
