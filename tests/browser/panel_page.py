"""What tests ask of a page with the panel."""

from typing import Any


def open_panel(page: Any, url: str) -> "Panel":
    """The panel in the App, opened as a user does: by its tab, or as a new panel where that was closed."""
    page.goto(url)
    page.get_by_text("Dismiss").click()
    page.locator("[data-cy=panel-tab-samples]").wait_for()  # the App shows again what was open before
    tab = page.locator("[data-cy=panel-tab-densecorr_review]")
    if tab.count() == 0:
        page.get_by_title("New panel").first.click()
        page.get_by_text("Review", exact=True).first.click()
    tab.click()
    panel = Panel(page).ready()
    panel.element("above").hover()
    return panel


class Panel:
    """One page with the panel, and what tests ask it."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def ready(self) -> "Panel":
        self.page.wait_for_function("window.densecorrReview?.ready === true")
        return self

    def look(self, expression: str) -> Any:
        """An expression of `p`, the panel object."""
        return self.page.evaluate(f"() => {{ const p = window.densecorrReview.panel; return {expression}; }}")

    def wait(self, expression: str) -> None:
        self.page.wait_for_function(
            f"() => {{ const p = window.densecorrReview.panel; return {expression}; }}", timeout=8000
        )

    def saved(self) -> "Panel":
        self.wait("p.session.outbox.items.length === 0 && !p.session.outbox.sending")
        return self

    def press(self, *keys: str) -> "Panel":
        for key in keys:
            self.page.keyboard.press(key)
        return self

    def element(self, name: str) -> Any:
        return self.page.get_by_test_id(name)

    def text(self, name: str) -> str:
        return self.element(name).text_content()

    def rows(self) -> list[str]:
        """The rows of the queue that are drawn."""
        return self.element("queue-row").all_text_contents()

    def outside(self, width: int, height: int) -> list[str]:
        """Buttons, choices and panes that are not all on a page of that size, or have no room for what they say."""
        return self.look(
            "[...p.root.querySelectorAll('button, select, .dc-pane')].filter((e) => e.offsetParent &&"
            " !e.closest('.dc-queue')).filter((e) => { const b = e.getBoundingClientRect(); return b.left < 0 ||"
            f" b.top < 0 || b.right > {width} || b.bottom > {height} || e.scrollWidth - e.clientWidth > 2; }})"
            ".map((e) => e.textContent || e.className)"
        )

    def current(self) -> str:
        return self.look("p.session.item.instance_id")

    def point(self, key: int) -> dict[str, Any] | None:
        return self.look(f"p.session.state.points.get({key}) ?? null")

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the image is on the page."""
        box = self.element("above").bounding_box()
        at = self.look(f"p.image.toScreen({x}, {y})")
        return box["x"] + at[0], box["y"] + at[1]

    def vertex_on_screen(self, view: str, vertex: int) -> tuple[float, float]:
        """Where a vertex is on the page, in a view's canvas."""
        views = ["view-front", "view-back", "view-left", "view-right", "view-top", "view-bottom"]
        index = [*views, "main"].index(view)
        place = self.look(
            f"(() => {{ const v = [...p.template.views, p.template.main][{index}];"
            f" if (v.stale) v.draw(); return v.placeOf({vertex}); }})()"
        )
        box = self.element(view).bounding_box()
        return box["x"] + place["x"], box["y"] + place["y"]

    def free_points(self) -> list[int]:
        """Points that are the ones picked where they are drawn, far enough from the others to be dragged."""
        return self.look(
            "[...p.session.state.points].filter(([id, q]) => p.image.pick(...p.image.toScreen(q.x, q.y)) === id"
            " && p.image.pick(...p.image.toScreen(q.x + 9, q.y - 6)) === id && q.vertex >= 0).map(([id]) => id)"
        )

    def free_vertex(self) -> int:
        """A vertex that no point has and that is the one picked where the turned template shows it."""
        return self.look(
            "(() => { const view = p.template.main;"
            " const taken = new Set([...p.session.state.points.values()].map((q) => q.vertex));"
            " if (view.stale) view.draw();"
            " for (let v = 100; v < p.mesh.count; v++) { const at = view.placeOf(v);"
            " if (!taken.has(v) && at.seen && view.pick(at.x, at.y) === v) return v; } })()"
        )

    def click_point(self, key: int) -> None:
        point = self.point(key)
        self.page.mouse.click(*self.on_screen(point["x"], point["y"]))
