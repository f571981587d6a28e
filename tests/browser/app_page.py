"""What tests ask of the App round the panel: its samples, and that it complains of nothing new."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

# What the App prints of its own and this suite does not count. Anything else fails its test.
FONTS = r"https://fonts\.googleapis\.com/css2\?family=(Palanquin|Roboto%20Mono)&display=swap"
KNOWN = {
    "fonts are not fetched: the pages of these tests reach nothing but this machine": (
        rf"GET {FONTS}: net::ERR_FAILED",
        rf"Failed to load resource: net::ERR_FAILED \({FONTS}\)",
        rf"The resource {FONTS} was preloaded using link preload but not used within a few seconds .*",
    ),
    "what a page waits for ends when it is left": (
        r"(GET|POST) http://127\.0\.0\.1:\d+/\S*: net::ERR_ABORTED",
    ),
    "its list of saved views calls an animation library in an old way": (
        r"react-spring: Directly calling start instead of using the api object is deprecated in v9 .*",
    ),
    "its grid sends a tile to be drawn again while a worker still holds the tile's masks": (
        r"sample not attached \(http://127\.0\.0\.1:\d+/\S*\)",
        r"DataCloneError: Failed to execute 'postMessage' on 'Worker': An ArrayBuffer is detached and could not"
        r" be cloned\.\s+at \w+\.loadSample \((.|\n)*",
    ),
}


def watch(page: Any, complaints: list[str]) -> None:
    """Let the page reach this machine only, as behind a firewall, and note each request that fails."""

    def answered(response: Any) -> None:
        if response.status >= 400:
            complaints.append(f"{response.request.method} {response.url}: {response.status}")

    page.route(lambda url: urlsplit(url).hostname != "127.0.0.1", lambda route: route.abort())
    page.on("requestfailed", lambda asked: complaints.append(f"{asked.method} {asked.url}: {asked.failure}"))
    page.on("response", answered)


def unknown(complaints: list[str]) -> list[str]:
    """The complaints that are not among the known ones."""
    patterns = [pattern for some in KNOWN.values() for pattern in some]
    return [said for said in complaints if not any(re.fullmatch(pattern, said) for pattern in patterns)]


def open_samples(page: Any, url: str) -> None:
    """The App's grid, by its tab."""
    page.goto(url)
    page.get_by_text("Dismiss").click()
    page.locator("[data-cy=panel-tab-samples]").click()


def pick_view(page: Any, slug: str | None, n_samples: int) -> None:
    """A saved view from the App's list, or none, and its samples.

    The list is made anew while the grid loads, and may miss a click; and a grid that is still being drawn, as on a
    slow machine, may stay empty for good when the view changes: so it settles first.
    """
    wait_for_picture(page, lambda tile: True)
    for _ in range(10):
        if not is_at(page, slug):
            if slug is None:
                page.locator("[data-cy=saved-views-btn-selection-clear]").click()
            else:
                option = page.locator(f"[data-cy=saved-views-{slug}-selection-option]")
                if not option.is_visible():
                    page.locator("[data-cy=saved-views-selection]").click()
                option.click()
            page.wait_for_timeout(1500)
        elif shows(page, n_samples, lambda: is_at(page, slug)):
            return
        elif is_at(page, slug):
            break
    pytest.fail(f"the App does not show {n_samples} samples in the view {slug}: {page.url}")


def is_at(page: Any, slug: str | None) -> bool:
    """Whether the page's address names the saved view, or none."""
    return "view=" not in page.url if slug is None else f"view={slug}" in page.url


def offered_views(page: Any) -> set[str]:
    """The saved views that the App's list offers; the list stays open."""
    option = page.locator("[data-cy$=-selection-option]")
    for look in range(60):
        if option.first.is_visible():
            break
        if look % 20 == 0:  # a second click would close what opens slowly
            page.locator("[data-cy=saved-views-selection]").click()
        page.wait_for_timeout(300)
    ids = [one.get_attribute("data-cy") for one in option.all()]
    found = {one.removeprefix("saved-views-").removesuffix("-selection-option") for one in ids}
    return found - {"unsaved-view"}


def offered_fields(page: Any, known: str) -> set[str]:
    """The fields that the App's sidebar offers, once it offers one that is known to be there."""
    page.locator(f"[data-cy=checkbox-{known}]").wait_for()
    ids = [one.get_attribute("data-cy") for one in page.locator("[data-cy^=checkbox-]").all()]
    return {one.removeprefix("checkbox-") for one in ids}


def wait_for_tiles(page: Any, n_samples: int) -> None:
    """Wait until the grid says, and has, so many."""
    if not shows(page, n_samples, lambda: True):
        pytest.fail(f"the grid does not show {n_samples} samples at {page.url}")


def shows(page: Any, n_samples: int, waits: Callable[[], bool]) -> bool:
    """Whether the grid says, and has, so many samples, at last; given up once there is nothing to wait for."""
    count, tiles = page.locator("[data-cy=entry-counts]"), page.locator("[data-cy=fo-grid] [data-cy=looker]")
    for _ in range(60):
        said = count.text_content() if count.count() else ""
        if re.match(rf"{n_samples}\D", said) and tiles.count() == n_samples:
            return True
        if not waits():
            return False
        page.wait_for_timeout(300)
    return False


def wait_for_picture(page: Any, fits: Callable[[np.ndarray], bool]) -> np.ndarray:
    """The first tile once it does not change any more and fits."""
    tile, last = page.locator("[data-cy=fo-grid] [data-cy=looker]").first, None
    for _ in range(20):
        page.wait_for_timeout(500)
        page.mouse.move(700, 80)  # a hovered tile is drawn otherwise
        picture = cv2.imdecode(np.frombuffer(tile.screenshot(), np.uint8), cv2.IMREAD_COLOR).astype(float)
        if last is not None and apart(picture, last) == 0 and fits(picture):
            return picture
        last = picture
    pytest.fail("the first tile does not look as expected")


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of two pictures, of 255."""
    return float(np.abs(one - other).mean())
