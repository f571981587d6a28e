"""A model hub in memory: huggingface_hub's own code runs against it, down to its HTTP client."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

COMMIT = "c0ffee" + "0" * 34


@dataclass
class FakeHub:
    """What it holds (id to name to content, of one commit), how it answers, and what it was asked."""

    models: dict[str, dict[str, bytes]]
    mode: str = "up"  # "down": no connection, "busy": 503, "gated": no file without consent
    requests: list[str] = field(default_factory=list)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(f"{request.method} {request.url.path}")
        if self.mode == "down":
            raise httpx2.ConnectError("no route to host", request=request)
        if self.mode == "busy":
            return httpx2.Response(503)
        path = request.url.path.removeprefix("/api/models").strip("/").split("/")
        files = self.models.get("/".join(path[:2]))
        if files is None:
            return _refusal(401, "RepoNotFound")
        what, revision, name = (*path[2:4], "/".join(path[4:]))
        if revision not in ("main", COMMIT):
            return _refusal(404, "RevisionNotFound")
        if what == "revision":
            return httpx2.Response(200, json={"id": "/".join(path[:2]), "sha": COMMIT, "siblings": []})
        if what == "tree":
            return httpx2.Response(200, json=[_entry(name, content) for name, content in files.items()])
        if self.mode == "gated":
            return _refusal(403, "GatedRepo")
        headers = {
            "ETag": f'"{hashlib.sha1(files[name]).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Content-Length": str(len(files[name])),
        }
        return httpx2.Response(200, headers=headers, content=files[name] if request.method == "GET" else b"")


def _entry(name: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


def _refusal(status: int, code: str) -> httpx2.Response:
    return httpx2.Response(status, headers={"X-Error-Code": code})


@contextmanager
def serving(models: dict[str, dict[str, bytes]], cache: Path) -> Iterator[FakeHub]:
    """A hub with these models in place of the real one, and an empty cache."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    hub = FakeHub(models)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DENSECORR_ACCEPT_LICENCE"):
            patch.delenv(name, raising=False)
        before = _http._GLOBAL_CLIENT_FACTORY
        huggingface_hub.set_client_factory(lambda: httpx2.Client(transport=httpx2.MockTransport(hub.answer)))
        try:
            yield hub
        finally:
            huggingface_hub.set_client_factory(before)


def folder_content(folder: Path) -> dict[str, bytes]:
    """The files of a folder, as a hub holds them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
