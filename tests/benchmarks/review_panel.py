"""What a reviewer waits for in the real App with 10,000 instances of 100 points, at the 95th percentile.

`act`: from the key to the screen drawn anew and the decision stored. `next`: from the key to the next instance drawn,
which was loaded while the one before was looked at. The panel takes both times itself. Needs MongoDB and Chromium.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser.app_world import make_store, open_review
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.panel_page import Panel, open_panel

from .measure import Benchmark, Waits

N_INSTANCES, N_POINTS = 10_000, 100
N_REVIEWED = 30
EXPORT_S = 1800.0  # the first start copies all instances into FiftyOne
ACT_S, NEXT_S = 0.3, 0.7
NEXT_IS_LOADED = """async () => {
    const { session } = window.densecorrReview.panel;
    await session.outbox.idle();
    return Boolean(await session.instances.ready.get(session.following()));
}"""


def prepare(n_instances: int = N_INSTANCES, n_reviewed: int = N_REVIEWED) -> Benchmark:
    """Nothing is prepared: the App's start is the longest part."""

    def waits() -> tuple[Waits, ...]:
        folder = Path(tempfile.mkdtemp())
        try:
            store = make_store(folder / "store", n_instances, N_POINTS)
            with open_review(store, folder, start_s=EXPORT_S) as app, opened_page() as page:
                return measure_review(open_panel(page, app.url), n_reviewed)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return Benchmark(lambda: None, lambda: None, waits=waits)


@contextmanager
def opened_page() -> Iterator[Any]:
    """A page of Chromium at a laptop's size.

    Raises:
        RuntimeError: no MongoDB or no Chromium.
    """
    if not CHROMIUM.exists() or not os.environ.get("DENSECORR_MONGOD"):
        raise RuntimeError(f"needs {CHROMIUM} and DENSECORR_MONGOD (infra/get_mongod.sh)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.set_default_timeout(120_000)
        yield page
        browser.close()


def measure_review(panel: Panel, n_reviewed: int) -> tuple[Waits, ...]:
    """Review instances by keyboard, one act at a time: a moved point, a mirrored set, a point dropped, accepted."""
    for _ in range(n_reviewed):
        panel.page.wait_for_function(NEXT_IS_LOADED)
        for keys in ((".", "ArrowRight"), ("m",), ("d",)):
            panel.press(*keys).saved()
        shown = panel.current()
        panel.press("a").saved()
        panel.wait(f"p.session.item.instance_id !== '{shown}'")
    panel.page.wait_for_function(NEXT_IS_LOADED)
    times = panel.page.evaluate("() => window.densecorrReview.times")
    acts = [max(act["drawn_ms"], act["stored_ms"]) / 1000 for act in times["acts"]]
    nexts = [one["drawn_ms"] / 1000 for one in times["nexts"] if one["preloaded"]]
    if len(acts) != 4 * n_reviewed or len(nexts) != n_reviewed:
        raise AssertionError(
            f"{len(acts)} acts and {len(nexts)} preloaded instances of {n_reviewed} reviewed"
        )
    return Waits("act", acts, ACT_S), Waits("next", nexts, NEXT_S)
