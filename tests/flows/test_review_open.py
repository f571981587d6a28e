import os
from pathlib import Path
from typing import Any

import pytest
import tyro

from annotation_ui.desk_settings import VARIABLE
from densecorr.errors import SettingsError
from flows.review import Review, ReviewOpen, main
from flows.review_open import free_port
from storage.artifacts import Store
from tests.annotation_ui.review_world import make_world


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, list[tuple[Any, ...]]]:
    """A store, and what `review open` asks of the App, which is not started."""
    store, _ = make_world(tmp_path / "store", n=2)
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("FIFTYONE_PLUGINS_DIR", os.environ.get("FIFTYONE_PLUGINS_DIR", ""))
    monkeypatch.setenv("FIFTYONE_DEFAULT_APP_ADDRESS", "0.0.0.0")
    monkeypatch.setattr("annotation_ui.app.import_fiftyone", lambda: None)
    monkeypatch.setattr("annotation_ui.app.database_answers", lambda: False)
    monkeypatch.setattr("annotation_ui.app.open_app", lambda *args, **options: calls.append(args))
    monkeypatch.setattr("annotation_ui.samples.export_dataset", lambda *args, **options: "exported")
    monkeypatch.setattr("flows.review.sync", lambda *args: None)
    monkeypatch.setattr("flows.review.finish", lambda *args: None)
    return store, calls


def command_of(*more: str) -> ReviewOpen:
    return tyro.cli(Review, args=["open", "data", "--labels", "zero", *more])


def test_an_address_opens_the_app_only_if_named_and_says_what_that_means(
    opened: tuple[Store, list[tuple[Any, ...]]], capsys: pytest.CaptureFixture[str]
) -> None:
    store, calls = opened
    main(command_of("--reviewer", "ann"), store)
    assert calls.pop()[2] == "127.0.0.1"
    assert "WARNING" not in capsys.readouterr().err
    main(command_of("--reviewer", "ann", "--address", "0.0.0.0"), store)
    _, port, address = calls.pop()
    assert address == "0.0.0.0"
    [warning] = [line for line in capsys.readouterr().err.splitlines() if "WARNING" in line]
    assert f"0.0.0.0:{port}" in warning
    assert "no login" in warning
    assert "decide as ann" in warning
    assert "Over a network" in warning
    assert "## Over a network" in (Path(__file__).parents[2] / "docs" / "review.md").read_text(
        encoding="utf-8"
    )


def test_who_browses_is_told_how_to_review(
    opened: tuple[Store, list[tuple[Any, ...]]], capsys: pytest.CaptureFixture[str]
) -> None:
    store, calls = opened
    hint = "no --reviewer: browsing only; to judge labels add --reviewer NAME"
    main(command_of("--name", "mine"), store)
    assert hint in capsys.readouterr().err.splitlines()
    main(command_of("--name", "mine", "--reviewer", "ann"), store)
    assert hint not in capsys.readouterr().err
    assert [name for name, *_ in calls] == ["mine", "mine-review"]


def test_an_address_of_another_machine_is_refused(opened: tuple[Store, list[tuple[Any, ...]]]) -> None:
    with pytest.raises(SettingsError, match="an IPv4 address of this machine"):
        main(command_of("--address", "203.0.113.7"), opened[0])


def test_ports_are_looked_for_at_the_address() -> None:
    import socket

    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        assert free_port(port, "127.0.0.2") > port
        assert free_port(port, "0.0.0.0") > port  # all addresses, that one too
        assert free_port(port, "127.0.0.1") == port
