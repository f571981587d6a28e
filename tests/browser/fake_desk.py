"""The protocol answered from memory over HTTP, with faults on request: for the panel's tests without FiftyOne.

`python -m tests.browser.fake_desk` serves it, to look at: open the address it prints, `?theme=light` for the
light theme.
"""

import json
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.cluster  # noqa: F401 - seconds, which a test would wait for

from densecorr.review.protocol import spread_over_parts
from tests.browser.fake_scene import SIZE, body, encode, template, view

PLUGIN = Path(__file__).parents[2] / "annotation_ui" / "plugin"
PAGE = Path(__file__).with_name("fake_app.html")
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}


class FakeDesk:
    """A desk in memory. Faults: `down` (no answers), `lost` (stored, but unanswered), `errors` by operator."""

    def __init__(self, n_instances: int = 8, parts: bool = True, mirror: bool = True) -> None:
        self.template = template(mirror, parts)
        self.instances = [f"instance-{i:02d}" for i in range(n_instances)]
        self.acts: list[dict[str, Any]] = []
        self.leases: dict[str, str] = {}
        self.holds: dict[str, float] = {}  # seconds until a call is looked at, by operator
        self.delays: dict[str, float] = {}  # and until its answer leaves
        self.others: dict[str, list[dict[str, Any]]] = {}  # what other reviewers decided, by instance
        self.errors: dict[str, dict[str, str]] = {}
        self.down = self.lost = False
        self.version = 1
        self.revision = "revision-1"
        self.points: list[dict[str, Any]] | None = None
        self.calls: list[str] = []
        self.delay = 0.0
        self.url = ""

    def answer(self, operator: str, params: dict[str, Any]) -> dict[str, Any]:
        """As the operators answer."""
        self.calls.append(operator)
        if operator in self.errors:
            return {"error": self.errors[operator]}
        return getattr(self, operator)(**params)

    def review_open(self, version: int) -> dict[str, Any]:
        return {
            "version": self.version,
            "reviewer": "ann",
            "dataset": {"id": "demo", "name": "demo"},
            "template": self.template,
            "reasons": ["left and right swapped", "blurred", "mostly hidden"],
            "gold": False,
            **self.review_queue(),
        }

    def review_queue(self, since: int | None = None) -> dict[str, Any]:
        queue = [
            {
                "instance_id": key,
                "image_id": key.replace("instance", "image"),
                "category": "person",
                "verdict": (self.replay(key)["verdict"] or {}).get("action"),
                "rank": rank,
                "leased_by": self.leases.get(key),
                "mine": self.leases.get(key) == "ann",
                "others": self.told(key),
            }
            for rank, key in enumerate(self.instances)
        ]
        return {"serial": (since or 0) + 1, "queue": queue, "progress": self.progress()}

    def decided(self, key: str) -> bool:
        return (self.replay(key)["verdict"] or {"action": "skip"})["action"] != "skip"

    def told(self, key: str) -> list[dict[str, Any]]:
        """Blind until decided, as the desk tells it."""
        told = self.decided(key)
        return [
            {"reviewer": one["reviewer"], "verdict": one["verdict"] if told else None}
            for one in self.others.get(key, [])
        ]

    def review_others(self, instance_id: str) -> dict[str, Any]:
        return {"others": self.others.get(instance_id, []) if self.decided(instance_id) else []}

    def progress(self) -> dict[str, Any]:
        verdicts = [(self.replay(key)["verdict"] or {}).get("action") for key in self.instances]
        return {
            "done": sum(self.decided(key) for key in self.instances),
            "total": len(verdicts),
            "accepted": verdicts.count("accept"),
            "rejected": verdicts.count("reject"),
            "per_hour": 212.0,
            "seconds": 300.0,
        }

    def effective(self, key: str) -> list[dict[str, Any]]:
        undone: set[str] = set()
        kept = []
        for act in reversed([act for act in self.acts if act["instance_id"] == key]):
            if act["decision_id"] in undone:
                continue
            if act["undoes"]:
                undone.add(act["undoes"])
            else:
                kept.append(act)
        return kept[::-1]

    def replay(self, key: str) -> dict[str, Any]:
        """The state after all acts, as the panel's model must have it, too."""
        given = view(self.yaw(key))["points"] if self.points is None else self.points
        state: dict[str, Any] = {"points": {p["point_id"]: p for p in given}, "verdict": None}
        state |= {"regions": [], "parts": {}}
        for act in self.effective(key):
            after = act["after"]
            for name, point in after.get("points", {}).items():
                unknown = {"point_id": int(name), "score": None, "expected_error": None}
                state["points"][int(name)] = None if point is None else point | unknown
            state["parts"] |= after.get("parts", {})
            state |= {name: after[name] for name in ("verdict", "regions") if name in after}
        state["points"] = {key: point for key, point in state["points"].items() if point}
        state["parts"] = {name: polygons for name, polygons in state["parts"].items() if polygons}
        return state

    def yaw(self, key: str) -> float:
        return [0.0, 0.7, -0.7, 3.1][int(key.partition("-")[2]) % 4]

    def review_instance(self, instance_id: str, lease: bool) -> dict[str, Any]:
        if lease and self.leases.get(instance_id, "ann") == "ann":
            self.leases[instance_id] = "ann"
        state, seen, holder = (
            self.replay(instance_id),
            view(self.yaw(instance_id)),
            self.leases.get(instance_id),
        )
        kept = {act["decision_id"] for act in self.effective(instance_id)}
        return {
            "instance_id": instance_id,
            "image_id": instance_id.replace("instance", "image"),
            "category": "person",
            "revision": self.revision,
            "label": {"label_id": "l", "source": "pseudo", "producer": "fake", "template_id": "body-v1"},
            "image": {"width": SIZE[0], "height": SIZE[1], "crop": [0, 0, *SIZE], "png": seen["png"]},
            "silhouette": seen["silhouette"],
            **state,
            "points": list(state["points"].values()),
            "acts": [
                {
                    "decision_id": a["decision_id"],
                    "action": a["action"],
                    "undone": a["decision_id"] not in kept,
                }
                for a in self.acts
                if a["instance_id"] == instance_id
            ],
            "lease": {"mine": holder == "ann", "reviewer": holder, "until": None},
            "seconds": 0.0,
        }

    def review_similarity(self, instance_id: str, x: float, y: float, vertex: int) -> dict[str, Any]:
        V = body().V
        near = np.zeros(len(V)) if vertex < 0 else np.exp(-np.linalg.norm(V - V[vertex], axis=1) / 0.3)
        return {"kind": "geodesic", "values": encode(near * 255, "u1")}

    def review_act(self, act: dict[str, Any]) -> dict[str, Any]:
        if act["undoes"] and act["undoes"] not in {known["decision_id"] for known in self.acts}:
            return {"error": fault("input", "the id of an own act", act["undoes"])}
        self.leases[act["instance_id"]] = "ann"  # an act takes or renews the lease
        stored = act | {"decision_id": f"{time.time_ns():016x}"}
        self.acts.append(stored)
        verdict = (self.replay(act["instance_id"])["verdict"] or {}).get("action")
        lease = {"mine": True, "reviewer": "ann", "until": None}
        return {
            "decision_id": stored["decision_id"],
            "verdict": verdict,
            "others": self.told(act["instance_id"]),
            "progress": self.progress(),
            "lease": lease,
        }

    def review_release(self, instance_id: str) -> dict[str, Any]:
        if self.leases.get(instance_id) == "ann":
            del self.leases[instance_id]
        return {}

    def review_suggest(self, instance_id: str, point_id: int | None) -> dict[str, Any]:
        points = self.replay(instance_id)["points"]
        mirror = body().mirror
        wanted = [p for key, p in points.items() if point_id in (None, key) and key % 6 == 5]
        answer = [
            {
                "point_id": p["point_id"],
                "vertex": int(mirror[p["vertex"]]),
                "confidence": 0.91,
                "why": "neighbours",
            }
            for p in wanted
            if p["score"] is not None
        ]
        return {"suggestions": answer}

    def review_history(self, limit: int) -> dict[str, Any]:
        newest = self.acts[::-1][:limit]
        keys = ("decision_id", "instance_id", "action", "point_id")
        return {"acts": [{key: act[key] for key in keys} | {"undone": False} for act in newest]}

    def review_spread(self, instance_id: str, parts: dict[str, Any]) -> dict[str, Any]:
        width, height = SIZE
        found = spread_over_parts(parts, height, width)
        used = [int(key) for act in self.acts for key in act["after"].get("points", {})]
        first = max([*used, *self.replay(instance_id)["points"]], default=-1) + 1
        rows = zip(found.xy.tolist(), found.part.tolist(), strict=True)
        points = [
            {"point_id": first + k, "x": x, "y": y, "part": found.names[part]}
            for k, ((x, y), part) in enumerate(rows)
        ]
        return {"points": points}

    def review_guide(self) -> dict[str, Any]:
        return {"html": "<h1>How to review</h1><p>Swapped sides: mirror, then look again.</p>"}


def fault(kind: str, expected: str = "a store", received: str = "none") -> dict[str, str]:
    """An error as the desk answers it."""
    return {"expected": expected, "received": received, "remedy": f"Mend the {kind}.", "kind": kind}


class Handler(BaseHTTPRequestHandler):
    """The page, the plugin's files where FiftyOne has them, and FiftyOne's way to run operators."""

    protocol_version = "HTTP/1.1"

    def __init__(self, desk: FakeDesk, *arguments: Any) -> None:
        self.desk = desk
        super().__init__(*arguments)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        file = PLUGIN / path.rpartition("/")[2] if path.startswith("/plugins/") else PAGE
        if path == "/favicon.ico":
            self.reply(204, b"", "image/x-icon")
        elif file.is_file():
            self.reply(200, file.read_bytes(), TYPES[file.suffix])
        else:
            self.reply(404, b"", "text/plain")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        desk = self.desk
        if desk.down:
            self.close_connection = True
            return
        time.sleep(desk.delay)
        operator = body["operator_uri"].rpartition("/")[2]
        time.sleep(desk.holds.get(operator, 0.0))
        result = desk.answer(operator, body["params"])
        time.sleep(desk.delays.get(operator, 0.0))
        if desk.lost and operator == "review_act":
            return self.reply(502, b"", "text/plain")  # as a proxy says that lost its server
        self.reply(200, json.dumps({"result": result, "error": None}).encode(), "application/json")

    def reply(self, status: int, body: bytes, kind: str) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the page was closed while it was answered


def serve(desk: FakeDesk, port: int = 0) -> ThreadingHTTPServer:
    """A server of this desk, running in a thread."""
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, desk))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    print(f"http://127.0.0.1:{serve(FakeDesk(), 5199).server_port}/", flush=True)
    threading.Event().wait()
