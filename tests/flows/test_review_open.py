import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from shutil import copy
from types import SimpleNamespace
from typing import Any

import pytest
import tyro

from annotation_ui.desk_settings import VARIABLE
from densecorr.errors import SettingsError
from flows import review_sync
from flows.review import Review, ReviewOpen, main
from flows.review_open import free_port, reserve_port
from storage.artifacts import Recipe, Store
from tests.annotation_ui.review_world import make_world, put_dataset


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
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        assert free_port(port, "127.0.0.2") > port
        assert free_port(port, "0.0.0.0") > port  # all addresses, that one too
        assert free_port(port, "127.0.0.1") == port


def test_who_browses_takes_a_free_port_too(
    opened: tuple[Store, list[tuple[Any, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, calls = opened
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr("flows.review_open.FIRST_PORT", taken)
        main(command_of("--name", "mine"), store)
        main(command_of("--name", "mine", "--reviewer", "ann"), store)
    assert taken < calls[0][1] < calls[1][1]  # this process keeps the first


def test_apps_that_start_at_once_take_ports_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path))
    script = "from flows.review_open import reserve_port; print(reserve_port(), flush=True); input()"
    command = [sys.executable, "-c", script]
    starting = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    ports = [process.stdout.readline().strip() for process in starting if process.stdout]
    for process in starting:
        process.communicate("\n", timeout=60)
    assert len(set(ports)) == 3
    assert str(reserve_port()) == min(ports, key=int)  # those that ended hold none


def test_a_reviewer_gets_the_port_of_last_time_where_the_browser_may_keep_acts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr("flows.review_open.FIRST_PORT", taken)
        script = f"import flows.review_open as o; o.FIRST_PORT = {taken}; print(o.reserve_port('ann'))"
        told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert reserve_port("bob") == taken  # free again
    assert reserve_port("ann") == int(told.stdout) > taken


def test_labels_of_another_data_set_are_warned_of(
    opened: tuple[Store, list[tuple[Any, ...]]], capsys: pytest.CaptureFixture[str]
) -> None:
    store, _ = opened
    other = put_dataset(store, 2, version=2)
    table = store.path(store.resolve("zero")) / "labels.parquet"

    def relabelled(dataset: str) -> str:
        recipe = Recipe("pseudo-label", 1, {}, {"dataset": dataset})
        return store.ensure(recipe, lambda out: copy(table, out))

    for dataset, warned in ((store.resolve("data"), False), (other, True)):
        main(replace(command_of("--name", "mine", "--reviewer", "ann"), labels=(relabelled(dataset),)), store)
        assert ("not made from the data set" in capsys.readouterr().err) == warned


def test_apps_that_open_at_once_write_to_fiftyone_one_after_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, settings = make_world(tmp_path / "store", n=1)
    names = ["mine-review"]
    inside: list[int] = []
    at_once: list[int] = []

    def write(*args: Any) -> int:
        inside.append(0)
        time.sleep(0.1)
        at_once.append(len(inside))
        inside.pop()
        return 0

    fiftyone = SimpleNamespace(dataset_exists=lambda name: True)
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("annotation_ui.app.import_fiftyone", lambda: fiftyone)
    monkeypatch.setattr("annotation_ui.stored_samples.open_dataset", lambda name: name)
    monkeypatch.setattr("annotation_ui.review_views.sync_review", write)
    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(review_sync.sync, store, settings.dataset, None, names) for _ in range(3)]
    assert [one.result() for one in done] == [{"mine-review": 0}] * 3
    assert at_once == [1, 1, 1]
