"""Two reviewers, each with an App of their own, on one database: leases, each other's decisions, conflicts."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from storage.artifacts import Store
from storage.datasets import read_labels
from storage.decisions import read_decisions
from tests.browser.app_page import unknown, watch
from tests.browser.app_world import App, make_store, need_app, open_review
from tests.browser.fake_scene import body
from tests.browser.panel_page import Panel, open_panel
from tests.flows.command_line import densecorr

pytestmark = [pytest.mark.browser, pytest.mark.mongo]

REVIEWERS = ("ann", "bob")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("apps")


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    return make_store(folder / "store", n=5)


@pytest.fixture(scope="module")
def apps(folder: Path, store: Store) -> Iterator[dict[str, App]]:
    need_app()
    with ExitStack() as stack:
        yield {name: stack.enter_context(open_review(store, folder, name)) for name in REVIEWERS}


@pytest.fixture
def pages(new_page: Callable[..., Any], complaints: list[str]) -> Iterator[dict[str, Any]]:
    """A page a reviewer, in browsers of their own; all that they complain of fails the test."""
    made = {name: new_page() for name in REVIEWERS}
    for page in made.values():
        watch(page, complaints)
    yield made
    complaints[:] = unknown(complaints)


def test_two_reviewers_see_each_other_and_both_decisions_are_kept(
    apps: dict[str, App],
    pages: dict[str, Any],
    store: Store,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    ann = open_panel(pages["ann"], apps["ann"].url)
    shared = ann.current()
    ann.wait("p.session.item.lease.mine")
    bob = open_panel(pages["bob"], apps["bob"].url)
    assert bob.current() != shared  # goes to the first that is free
    bob.element("queue").click()
    wait_for_row(bob, shared, "held by ann")

    row_of(bob, shared).click()
    bob.wait(f"p.session.item.instance_id === '{shared}' && p.session.record.readOnly")
    assert "ann holds this instance" in bob.text("message")
    before = bob.point(0)
    bob.press(".", "m", "a")
    assert "nothing was changed" in bob.text("message")
    assert bob.point(0) == before
    bob.press("n")
    bob.wait(f"p.session.item.instance_id !== '{shared}' && !p.session.record.readOnly")
    ann.element("queue").click()
    wait_for_row(ann, bob.current(), "held by bob")

    ann.press(".")
    ann.wait("p.selected === 0")
    mine = int(body().mirror[before["vertex"]])
    assert mine != before["vertex"]
    ann.look(f"p.actions.assign({mine})")
    ann.saved().element("accept").click()
    ann.saved().wait(f"p.session.item.instance_id !== '{shared}'")

    bob.page.reload()
    bob = Panel(bob.page).ready()
    bob.element("queue").click()
    told = wait_for_row(bob, shared, "ann •")  # she decided; what, is shown once he did
    assert "held by" not in told
    assert "✓" not in told
    row_of(bob, shared).click()
    bob.wait(f"p.session.item.instance_id === '{shared}' && p.session.item.lease.mine")
    assert bob.point(0) == before  # he starts from the labels, not from what she made of them
    assert bob.look("p.session.state.verdict") is None
    bob.element("accept").click()
    bob.saved().wait(f"p.session.item.instance_id !== '{shared}'")
    wait_for_row(bob, shared, "ann ✓")

    for name in REVIEWERS:
        pages[name].goto("about:blank")
        apps[name].process.terminate()
    for name in REVIEWERS:
        apps[name].process.wait(timeout=60)
    acts = [(act.reviewer, act.action) for act in read_decisions(store) if act.instance_id == shared]
    assert acts == [("ann", "assign"), ("ann", "accept"), ("bob", "accept")]

    monkeypatch.setenv("DENSECORR_STORE", store.place.uri)
    monkeypatch.setenv("DENSECORR_STATE", str(folder / "state"))
    told = densecorr("review", "export", "data", "--labels", "zero", cwd=folder)
    assert told.returncode == 0, told.stderr
    assert '"conflicts": 1' in told.stderr + told.stdout
    made = store.path(told.stdout.split()[-1])
    conflict = json.loads((made / "conflicts.jsonl").read_text())
    assert (conflict["instance_id"], conflict["what"], conflict["point_id"]) == (shared, "vertex", 0)
    assert conflict["values"] == {"ann": mine, "bob": before["vertex"]}
    assert not conflict["settled"]
    assert 0 not in read_labels(made)[shared].point_ids  # a tie: better no label than a wrong one


def row_of(panel: Panel, instance_id: str) -> Any:
    return panel.element("queue-row").filter(has_text=f"person {instance_id}")


def wait_for_row(panel: Panel, instance_id: str, text: str) -> str:
    """What the queue says of an instance once that has the text; the desk looks for news every ten seconds."""
    for _ in range(20):
        panel.look("p.session.refreshQueue()")
        told = row_of(panel, instance_id).text_content()
        if text in told:
            return told
        panel.page.wait_for_timeout(1000)
    pytest.fail(f"the queue says '{told}' of {instance_id}, not '{text}'")
