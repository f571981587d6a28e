"""Models of a hub: naming, licences, and every way in which getting them fails, against a hub in memory."""

import errno
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from densecorr.errors import DependencyError, LicenceError, SettingsError
from densecorr.hub import (
    CATALOG,
    ModelRef,
    admit,
    cached_bytes,
    facts_of,
    fetch,
    is_offline,
    load_pretrained,
    model_folder,
    named_models,
    resolved_revision,
    with_models,
)
from densecorr.hub_cache import cache_state, cached_references, check_files, needed_files
from densecorr.hub_errors import translate_error
from densecorr.hub_licences import commercial_use, licence_facts, record_model
from tests import tiny_models
from tests.fake_hub import COMMIT, FakeHub, folder_content, serving

SMALL = "facebook/dinov2-small"
CARD = "---\nlicense: {}\n---\n# A model\n"


@dataclass(frozen=True)
class Part:
    model: ModelRef = "a/part"
    size: int = 3


@dataclass(frozen=True)
class Whole:
    name: str = "not/a-model"
    one: ModelRef = "a/one"
    none: ModelRef | None = None
    empty: ModelRef = ""
    many: tuple[ModelRef, ...] = ("a/two", "a/one")
    part: Part = field(default_factory=Part)
    parts: tuple[Part, ...] = (Part("a/three"), Part("a/part"))


@pytest.fixture(scope="session")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a tiny DINOv2, with a card."""
    folder = tiny_models.write_dinov2(tmp_path_factory.mktemp("dinov2"))
    return {**folder_content(folder), "README.md": CARD.format("cc-by-nc-4.0").encode()}


@pytest.fixture
def hub(dinov2: dict[str, bytes], tmp_path: Path) -> Iterator[FakeHub]:
    models = {SMALL: dict(dinov2), "someone/else": dict(dinov2)}
    with serving(models, tmp_path / "cache") as hub:
        yield hub


def snapshot(cache: Path, name: str = SMALL) -> Path:
    return cache / "cache" / f"models--{name.replace('/', '--')}" / "snapshots" / COMMIT


def load(reference: str) -> object:
    from transformers import AutoModel

    return load_pretrained(AutoModel, reference)


# naming


def test_models_are_found_in_all_fields_marked_as_such() -> None:
    assert named_models(Whole()) == ("a/one", "a/two", "a/part", "a/three")
    assert named_models(Whole(none="a/none"))[1] == "a/none"
    assert named_models(3) == ()


def test_models_can_be_changed_wherever_they_are_named() -> None:
    changed = with_models(Whole(), str.upper)
    assert named_models(changed) == ("A/ONE", "A/TWO", "A/PART", "A/THREE")
    assert (changed.name, changed.empty, changed.none, changed.part.size) == ("not/a-model", "", None, 3)
    whole = Whole()
    assert with_models(whole, lambda reference: reference) is whole


def test_a_revision_is_behind_the_at_sign_and_main_without_one() -> None:
    assert facts_of(f"{SMALL}@v1").revision == "v1"
    assert facts_of(SMALL).reference == f"{SMALL}@main"
    assert facts_of("someone/else").commercial == "unknown"


def test_every_listed_model_has_a_licence_that_can_be_read_and_a_size() -> None:
    assert len({facts.id for facts in CATALOG}) == len(CATALOG)
    for facts in CATALOG:
        assert facts.licence_url.startswith("https://"), facts.id
        assert facts.size_mb > 0, facts.id
        assert facts.commercial in ("yes", "restricted", "no"), facts.id


def test_what_is_neither_a_folder_nor_a_name_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    for reference in (str(tmp_path / "absent"), "a/b/c", "a b/c"):
        for use in (model_folder, cache_state, lambda r: admit([r]), fetch):
            with pytest.raises(SettingsError, match="owner/name, owner/name@revision or a folder"):
                use(reference)
    assert hub.requests == []


# getting them


def test_a_model_is_downloaded_once_and_loaded_without_the_network(hub: FakeHub, tmp_path: Path) -> None:
    assert (cache_state(SMALL), resolved_revision(SMALL), cached_bytes(SMALL)) == ("no", None, 0)
    assert model_folder(SMALL) == snapshot(tmp_path)
    assert (cache_state(SMALL), resolved_revision(SMALL)) == ("yes", COMMIT)
    assert cached_bytes(SMALL) == sum(map(len, hub.models[SMALL].values()))
    hub.requests.clear()
    assert load(SMALL).config.hidden_size == 32  # type: ignore[attr-defined]
    assert hub.requests == []
    assert cached_references() == [f"{SMALL}@main"]
    assert check_files(SMALL) == []
    fetch(SMALL, again=True)
    assert any(request.startswith("GET") and "safetensors" in request for request in hub.requests)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_never_asks_the_network(hub: FakeHub, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    assert is_offline()
    for use in (load, model_folder, fetch):
        with pytest.raises(
            DependencyError, match=r"as --offline was asked for; received not there\. Fetch it"
        ):
            use(SMALL)
    with pytest.raises(DependencyError, match="--again"):
        fetch(SMALL, again=True)
    assert hub.requests == []
    monkeypatch.delenv(variable)
    model_folder(SMALL)
    monkeypatch.setenv(variable, "1")
    hub.requests.clear()
    load(SMALL)
    assert hub.requests == []


def test_each_failure_of_the_hub_has_its_own_message_and_remedy(hub: FakeHub) -> None:
    said = []
    for mode, reference, expected, remedy in (
        ("up", "no/such", "a model that exists", "Check the id at https://huggingface.co/no/such"),
        ("up", f"{SMALL}@v9", "a revision of facebook/dinov2-small", f"name one as {SMALL}@REVISION"),
        ("gated", SMALL, "access to facebook/dinov2-small", "Accept its licence (Apache-2.0) at"),
        ("busy", "someone/else", "someone/else from the hub; received its answer 503", "Try again later"),
        ("down", "someone/else", "a connection to the hub", "copy the cache of another machine"),
    ):
        hub.mode = mode
        with pytest.raises(DependencyError) as caught:
            model_folder(reference)
        assert expected in str(caught.value)
        assert remedy in str(caught.value)
        said.append(str(caught.value))
    assert "hf auth login" in said[2]
    assert len(set(said)) == len(said)


def test_a_part_of_a_model_is_completed_online_and_told_as_such_offline(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = model_folder(SMALL) / "model.safetensors"
    weights.unlink()
    assert cache_state(SMALL) == "part"
    assert next((p.file, p.what) for p in check_files(SMALL)) == ("model.safetensors", "missing")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DependencyError, match=r"received only a part of them\. Complete it with a network"):
        load(SMALL)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    hub.mode = "down"
    with pytest.raises(DependencyError, match="a connection to the hub"):
        load(SMALL)
    hub.mode = "up"
    load(SMALL)
    assert cache_state(SMALL) == "yes"


def test_a_part_without_the_hubs_list_is_told_as_a_broken_cache(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that was copied, or filled file by file, comes without the list of what a snapshot holds."""
    folder = snapshot(tmp_path)
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(hub.models[SMALL]["config.json"])
    refs = folder.parent.parent / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)
    assert cache_state(SMALL) == "part"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        DependencyError, match=r"safetensors: no such file\. Fetch it anew: `densecorr models fetch --a"
    ):
        load(SMALL)
    (folder / "model.safetensors").symlink_to(tmp_path / "gone")
    assert cache_state(SMALL) == "part"
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(hub.models[SMALL]["model.safetensors"])
    assert cache_state(SMALL) == "yes"
    load(SMALL)


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("model.safetensors", None, "bytes in place of"),
        ("model.safetensors", b"\0" * 40, "bytes in place of"),
        ("config.json", b"{", "bytes in place of"),
    ],
)
def test_a_damaged_cache_is_named_file_by_file(
    hub: FakeHub, file: str, content: bytes | None, what: str
) -> None:
    path = model_folder(SMALL) / file
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    with pytest.raises(DependencyError, match=rf"received {file}: \d+ {what} \d+\. Fetch it anew"):
        load(SMALL)
    fetch(SMALL, again=True)
    load(SMALL)


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("model.safetensors", None, "SafetensorError"),
        ("model.safetensors", b"\xff" * 40, "SafetensorError"),
        ("config.json", b"{", "JSONDecodeError"),
        ("model.safetensors", b"", "SafetensorError"),
    ],
)
def test_a_damaged_folder_is_to_be_written_anew(
    dinov2: dict[str, bytes], tmp_path: Path, file: str, content: bytes | None, what: str
) -> None:
    for name, whole in dinov2.items():
        (tmp_path / name).write_bytes(whole)
    load(str(tmp_path))
    (tmp_path / file).write_bytes(dinov2[file][:-100] if content is None else content)
    with pytest.raises(DependencyError, match=rf"received {file}: {what}.*Write the folder anew\."):
        load(str(tmp_path))


def test_weights_that_could_run_code_are_not_loaded(dinov2: dict[str, bytes], tmp_path: Path) -> None:
    import torch

    (tmp_path / "config.json").write_bytes(dinov2["config.json"])
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(DependencyError, match=r"\*\.safetensors: no such file"):
        load(str(tmp_path))


def test_a_part_that_is_not_there_is_not_made_from_nothing(tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    with pytest.raises(DependencyError, match=r"tokenizer/\*\.json: no such file"):
        load_pretrained(CLIPTokenizer, str(tmp_path), "tokenizer")


def test_files_that_do_not_fit_are_not_called_damaged(dinov2: dict[str, bytes], tmp_path: Path) -> None:
    for name, whole in dinov2.items():
        (tmp_path / name).write_bytes(whole)
    config = json.loads(dinov2["config.json"])
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))
    with pytest.raises(
        DependencyError, match=r"that fit what it is used for.*Name a model of the right kind"
    ):
        load(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "unheard-of"}))
    with pytest.raises(DependencyError, match="unheard-of"):
        load(str(tmp_path))


@pytest.mark.parametrize("error", [MemoryError("full"), RuntimeError("out of memory"), TypeError("ours")])
def test_other_errors_of_loading_stay_what_they_are(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Dinov2Model

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Dinov2Model, "from_pretrained", fail)
    with pytest.raises(type(error)) as caught:
        load_pretrained(Dinov2Model, str(tmp_path))
    assert caught.value is error


def test_shards_that_an_index_names_must_be_there(dinov2: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(dinov2["config.json"])
    (tmp_path / "one.safetensors").write_bytes(dinov2["model.safetensors"])
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}))
    assert [(p.file, p.what) for p in check_files(str(tmp_path))] == [("two.safetensors", "missing")]
    assert cache_state(str(tmp_path)) == "part"
    index.write_text("{}")
    assert [p.what for p in check_files(str(tmp_path))] == ["names no weights"]


def test_a_full_disk_is_not_our_mistake_and_other_errors_stay_what_they_are() -> None:
    facts = facts_of(SMALL)
    full = OSError(errno.ENOSPC, "No space left on device", "/cache")
    assert "room for facebook/dinov2-small of 88 MB; received No space" in str(
        translate_error(full, facts, False)
    )
    for ours in (TypeError("ours"), OSError(errno.EIO, "Input/output error")):
        assert translate_error(ours, facts, False) is ours


def test_of_a_pipeline_of_parts_only_those_are_fetched_that_are_loaded(
    hub: FakeHub, dinov2: dict[str, bytes]
) -> None:
    hub.models["some/diffusion"] = {
        "model_index.json": b"{}",
        "one-file.safetensors": b"not wanted",
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": dinov2["model.safetensors"],
        "unet/diffusion_pytorch_model.fp16.safetensors": b"not wanted",
        "README.md": CARD.format("creativeml-openrail-m").encode(),
    }
    folder = fetch("some/diffusion")
    assert sorted(folder_content(folder)) == [
        "README.md",
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ]
    assert needed_files("some/diffusion")[0] == "unet/*.json"
    assert "vae/*.json" in [problem.file for problem in check_files("some/diffusion")]


# licences


@pytest.mark.parametrize(
    ("licence", "commercial"),
    [
        ("apache-2.0", "yes"),
        ("bsd-3-clause", "yes"),
        ("openrail++", "restricted"),
        ("creativeml-openrail-m", "restricted"),
        ("cc-by-nc-sa-4.0", "no"),
        ("fair-noncommercial-research-license", "no"),
        ("apple-amlr", "unknown"),
    ],
)
def test_commercial_use_follows_from_the_name_of_the_licence(licence: str, commercial: str) -> None:
    assert commercial_use(licence) == commercial


def test_what_forbids_commercial_use_or_is_unknown_must_be_accepted(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = "depth-anything/Depth-Anything-V2-Large-hf"
    free = [SMALL, "stable-diffusion-v1-5/stable-diffusion-v1-5", str(tmp_path)]
    assert [facts.commercial for facts in admit(free)] == ["yes", "restricted", "unknown"]
    with pytest.raises(LicenceError) as caught:
        admit([*free, large, "someone/else"])
    for text in (
        f"{large}: CC-BY-NC-4.0, no commercial use, see https://creativecommons.org/licenses/by-nc/4.0/",
        "someone/else: unknown, commercial use unknown, see https://huggingface.co/someone/else",
        "--accept-licence",
        "`densecorr models fetch someone/else@main` looks at its model card",
    ):
        assert text in str(caught.value)
    monkeypatch.setenv("DENSECORR_ACCEPT_LICENCE", "1")
    admitted = admit([*free, large])
    assert [record_model(facts, None).accepted for facts in admitted] == [False, False, False, True]
    assert record_model(admitted[0], None).accepted_at is None
    assert record_model(admitted[3], None).accepted_at is not None


def test_the_card_of_an_unlisted_model_comes_before_its_weights(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LicenceError, match=r"someone/else: cc-by-nc-4\.0, no commercial use"):
        fetch("someone/else")
    assert not any("safetensors" in request for request in hub.requests)
    assert cache_state("someone/else") == "part"
    monkeypatch.setenv("DENSECORR_ACCEPT_LICENCE", "1")
    fetch("someone/else")
    assert cache_state("someone/else") == "yes"
    assert licence_facts("someone/else").commercial == "no"
    record = record_model(licence_facts("someone/else"), None)
    assert (record.commit, record.accepted) == (COMMIT, True)


@pytest.mark.parametrize(
    ("card", "licence", "url"),
    [
        (CARD.format("mit"), "mit", "https://huggingface.co/someone/else"),
        (
            "---\nlicense: other\nlicense_name: own-words\nlicense_link: https://x.org/l\n---\n",
            "own-words",
            "https://x.org/l",
        ),
        ("---\nlicense: [cc-by-nc-4.0, mit]\n---\n", "cc-by-nc-4.0", "https://huggingface.co/someone/else"),
        ("# No header", "unknown", "https://huggingface.co/someone/else"),
        ("---\n: [\n---\n", "unknown", "https://huggingface.co/someone/else"),
    ],
)
def test_a_card_says_what_it_says(hub: FakeHub, tmp_path: Path, card: str, licence: str, url: str) -> None:
    folder = snapshot(tmp_path, "someone/else")
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(card)
    facts = licence_facts(f"someone/else@{COMMIT}")
    assert (facts.licence, facts.licence_url) == (licence, url)
