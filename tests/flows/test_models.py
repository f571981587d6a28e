"""`densecorr models` and the options about models, against a hub in memory."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from densecorr.errors import DependencyError
from densecorr.hub import named_models
from densecorr.synthesis.controlnet_painter import load_safety_checker
from flows import cli
from flows.pipeline import read_pipeline
from tests import tiny_models
from tests.fake_hub import COMMIT, FakeHub, folder_content, serving

SMALL, LARGE = "facebook/dinov2-small", "depth-anything/Depth-Anything-V2-Large-hf"
PIPELINE = """
[stages.see]
command = "toys:SEE"
settings.model = "{}"
settings.also = ["someone/else@main"]
"""


@pytest.fixture(scope="session")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a tiny DINOv2, with a card."""
    folder = tiny_models.write_dinov2(tmp_path_factory.mktemp("dinov2"))
    return {**folder_content(folder), "README.md": b"---\nlicense: mit\n---\n"}


@pytest.fixture
def hub(dinov2: dict[str, bytes], tmp_path: Path) -> Iterator[FakeHub]:
    models = {name: dict(dinov2) for name in (SMALL, LARGE, "someone/else")}
    with serving(models, tmp_path / "cache") as hub, pytest.MonkeyPatch.context() as patch:
        for name in (
            "HF_HUB_OFFLINE",
            "TRANSFORMERS_OFFLINE",
            "HF_DATASETS_OFFLINE",
            "DENSECORR_ACCEPT_LICENCE",
        ):
            patch.setenv(name, "")  # what a command sets is gone after the test
        patch.chdir(tmp_path)
        yield hub


def row(text: str, model: str) -> list[str]:
    """The words of a model's line."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"{model} "))
    return line.split()


def test_the_list_says_licence_use_size_and_whether_cached(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["models", "list"]) == 0
    text = capsys.readouterr().out
    assert row(text, SMALL)[1:7] == ["main", "Apache-2.0", "yes", "88.0", "MB", "no"]
    assert row(text, LARGE)[1:4] == ["main", "CC-BY-NC-4.0", "no"]
    assert "DINOv3 License, ask first  restricted" in text
    assert hub.requests == []
    assert cli.main(["models", "fetch", SMALL]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(COMMIT)
    assert cli.main(["models", "list"]) == 0
    assert row(capsys.readouterr().out, SMALL)[6:8] == ["yes", COMMIT[:8]]


def test_a_pipelines_models_are_listed_fetched_and_checked_by_its_name(
    hub: FakeHub, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Path("p.toml").write_text(PIPELINE.format(f"{SMALL}@{COMMIT}"))
    assert cli.main(["models", "check", "p.toml"]) == 2
    assert "not cached" in capsys.readouterr().out
    assert cli.main(["models", "list", "p.toml"]) == 0
    text = capsys.readouterr().out
    assert row(text, SMALL)[1] == COMMIT
    assert row(text, "someone/else")[1:6] == ["main", "unknown", "unknown", "unknown", "no"]
    arguments = ["models", "fetch", "p.toml"]
    assert cli.main(arguments) == 0  # the card says MIT
    assert cli.main(["models", "list", "p.toml"]) == 0
    assert row(capsys.readouterr().out.split("model ")[-1], "someone/else")[2:4] == ["mit", "yes"]
    assert cli.main(["models", "check", "p.toml"]) == 0
    assert "2 models checked, all whole." in capsys.readouterr().out


def test_a_non_commercial_model_is_fetched_with_consent_only(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["models", "fetch", LARGE]) == 2
    assert "--accept-licence" in capsys.readouterr().err
    assert hub.requests == []
    assert cli.main(["models", "fetch", LARGE, "--accept-licence"]) == 0
    assert os.environ["DENSECORR_ACCEPT_LICENCE"] == "1"


def test_offline_leaves_the_network_alone(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert {"--offline", "--accept-licence"} <= set(cli.help_text().split())
    assert cli.main(["models", "fetch", SMALL, "--offline"]) == 2
    assert "as --offline was asked for; received not there" in capsys.readouterr().err
    assert hub.requests == []
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
        assert os.environ[name] == "1"


def test_a_variable_that_the_user_set_stays(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "ON")
    monkeypatch.setenv("DENSECORR_ACCEPT_LICENCE", "yes")
    assert cli.main(["models", "check"]) == 0
    assert (os.environ["HF_HUB_OFFLINE"], os.environ["DENSECORR_ACCEPT_LICENCE"]) == ("ON", "yes")
    assert cli.main(["models", "fetch", SMALL]) == 2
    assert hub.requests == []


def test_check_says_what_is_broken_and_fetch_again_mends_it(
    hub: FakeHub, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["models", "check"]) == 0
    assert "No model is cached." in capsys.readouterr().out
    assert cli.main(["models", "fetch", SMALL]) == 0
    weights = next((tmp_path / "cache").rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-7])
    assert cli.main(["models", "check"]) == 2
    text = capsys.readouterr().out
    assert f"{SMALL}@main  model.safetensors" in text
    assert f"-> densecorr models fetch --again {SMALL}@main" in text
    assert cli.main(["models", "fetch", SMALL]) == 2  # it is there, so it is not fetched
    assert cli.main(["models", "fetch", "--again", SMALL]) == 0
    assert cli.main(["models", "check"]) == 0
    assert "1 model checked, all whole." in capsys.readouterr().out


def test_a_folder_beside_the_pipeline_file_is_a_model(
    hub: FakeHub, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.json").write_text("{")
    (tmp_path / "p.toml").write_text(PIPELINE.format("weights"))
    monkeypatch.chdir("/")
    (node,) = read_pipeline(tmp_path / "p.toml").nodes
    assert named_models(node.command) == (str(tmp_path / "weights"), "someone/else@main")
    assert cli.main(["models", "list", str(tmp_path / "p.toml")]) == 0
    assert row(capsys.readouterr().out, str(tmp_path / "weights"))[-1] == "folder"
    assert cli.main(["models", "check", str(tmp_path / "weights")]) == 2
    text = capsys.readouterr().out
    assert "JSONDecodeError" in text
    assert f"-> write the folder anew: {tmp_path / 'weights'}" in text


def test_consent_given_on_the_command_line_reaches_the_lineage(
    hub: FakeHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("text.txt").write_text("words")
    words = '[stages.words]\ncommand = "toys:WORDS"\ntext = "text.txt"\n'
    Path("p.toml").write_text(words + PIPELINE.format(LARGE) + 'words = "@words"')
    run = ["run", "p.toml", "--track", "never", "--store", "s"]
    assert cli.main(run) == 2
    said = capsys.readouterr().err
    assert "error: Expected consent to the licence" in said
    assert "running" not in said  # asked before the first stage, not hours later
    assert cli.main([*run, "--accept-licence"]) == 0
    made = capsys.readouterr().out.split()[-1]
    monkeypatch.setenv("DENSECORR_ACCEPT_LICENCE", "")
    assert cli.main(run) == 0
    capsys.readouterr()
    assert cli.main(["store", "lineage", made, "--store", "s"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("licences that bind this artifact: CC-BY-NC-4.0 (no commercial use) through")
    assert ", accepted 20" in last


SD = "stable-diffusion-v1-5/stable-diffusion-v1-5"
CHECKED = """
[stages.make]
command = "synthesise"
template = "quadruped"
category = "horse"
generator = {{ kind = "controlnet", controlnet = "{0}", depth_model = "{0}", safety_checker = {1} }}
"""


@pytest.fixture
def stable_diffusion(hub: FakeHub) -> FakeHub:
    """The hub with a Stable Diffusion and its safety checker: files that hold next to nothing."""
    from safetensors.numpy import save

    parts = ("unet", "vae", "text_encoder", "safety_checker")
    files = {f"{part}/{name}": b"{}" for part in parts for name in ("config.json",)}
    files |= {f"{part}/model.safetensors": save({}) for part in parts}
    files |= {f"{part}/a.json": b"{}" for part in ("tokenizer", "scheduler", "feature_extractor")}
    hub.models[SD] = files
    return hub


def checker_files(cache: Path) -> set[str]:
    """Parts of the safety checker that are cached."""
    found = (path.parent.name for path in cache.rglob("*") if path.suffix in (".json", ".safetensors"))
    return {"safety_checker", "feature_extractor"} & set(found)


@pytest.mark.parametrize("asked", [True, False])
def test_a_safety_checker_that_a_pipeline_uses_is_fetched_with_it(
    stable_diffusion: FakeHub, capsys: pytest.CaptureFixture[str], tmp_path: Path, asked: bool
) -> None:
    Path("p.toml").write_text(CHECKED.format(SMALL, str(asked).lower()))
    assert cli.main(["models", "fetch", SD]) == 0
    assert checker_files(tmp_path / "cache") == set()  # 1.2 GB that few use
    assert cli.main(["models", "fetch", SMALL]) == 0
    capsys.readouterr()
    assert cli.main(["models", "check", "p.toml"]) == (2 if asked else 0)
    assert (f"-> densecorr models fetch --again --safety-checker {SD}" in capsys.readouterr().out) is asked
    assert cli.main(["models", "fetch", "p.toml"]) == 0
    assert checker_files(tmp_path / "cache") == ({"safety_checker", "feature_extractor"} if asked else set())
    assert cli.main(["models", "check", "p.toml"]) == 0


def test_a_safety_checker_is_fetched_by_a_flag_that_its_absence_names(
    stable_diffusion: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert cli.main(["models", "fetch", SD]) == 0
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DependencyError, match=f"densecorr models fetch --safety-checker {SD}"):
        load_safety_checker(SD)
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    assert cli.main(["models", "fetch", "--safety-checker", SD, SMALL]) == 0
    assert checker_files(tmp_path / "cache") == {"safety_checker", "feature_extractor"}
