"""Images at addresses: fetched once, kept within bounds, refused offline."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import fsspec
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from densecorr import image_uris
from densecorr.errors import DatasetNotFoundError, DependencyError, ImageError, SettingsError
from densecorr.image_headers import read_header
from densecorr.image_uris import ImageCache, cached_image, is_remote, is_uri, local_image
from densecorr.images import read_image, write_png

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    stored = BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    return stored.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DENSECORR_IMAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(image_uris.time, "sleep", lambda seconds: None)
    return tmp_path / "cache"


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file("/photos/a.png", png(PIXELS))
    yield filesystem
    filesystem.store.clear()


class Answers(BaseHTTPRequestHandler):
    """Answers with what is next in `script`: a status, or the bytes of an image; the last stays."""

    script: list[int | bytes]
    n_asked = 0

    def do_GET(self) -> None:
        type(self).n_asked += 1
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.send_response(answer if isinstance(answer, int) else 200)
        body = answer if isinstance(answer, bytes) else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # whoever asked has seen enough
            return

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    image_uris._http_client.cache_clear()
    Answers.n_asked = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/a.png"
    server.shutdown()
    server.server_close()
    image_uris._http_client(os.getpid()).close()
    image_uris._http_client.cache_clear()


def test_what_an_address_is() -> None:
    assert is_uri("s3://bucket/a.png")
    assert is_remote("s3://bucket/a.png")
    assert is_uri("file:///a.png")
    assert not is_remote("file:///a.png")
    assert not is_uri("/data/a.png")
    assert not is_uri(Path("https://host/a.png"))  # its slashes are gone: no address any more


def test_the_second_read_does_not_touch_the_source(memory: fsspec.AbstractFileSystem, cache: Path) -> None:
    assert cached_image("memory://photos/a.png") is None
    assert_array_equal(read_image("memory://photos/a.png"), PIXELS)
    memory.rm("/photos/a.png")
    assert_array_equal(read_image("memory://photos/a.png"), PIXELS)
    (copy,) = (path for path in cache.rglob("*") if path.is_file())
    assert copy == cached_image("memory://photos/a.png")
    assert copy.read_bytes() == png(PIXELS)


def test_a_file_address_is_that_file(tmp_path: Path, cache: Path) -> None:
    write_png(tmp_path / "a b.png", PIXELS)
    address = (tmp_path / "a b.png").as_uri()
    assert "%20" in address
    assert local_image(address) == tmp_path / "a b.png"
    assert_array_equal(read_image(address), PIXELS)
    assert not cache.exists()


def test_offline_only_what_is_cached_is_read(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe_file("/photos/b.png", png(PIXELS))
    read_image("memory://photos/a.png")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert_array_equal(read_image("memory://photos/a.png"), PIXELS)
    assert read_header("memory://photos/a.png").width == 40
    for read in (read_image, read_header):
        with pytest.raises(DatasetNotFoundError, match=r"memory://photos/b\.png.*offline.*--offline"):
            read("memory://photos/b.png")


def test_nothing_half_is_kept(memory: fsspec.AbstractFileSystem, cache: Path) -> None:
    with pytest.raises(ImageError, match=r"memory://photos/none\.png; received no such file"):
        read_image("memory://photos/none.png")
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    memory.pipe_file("/photos/text.png", b"not an image")
    with pytest.raises(ImageError, match=r"a readable image; received memory://photos/text\.png"):
        read_image("memory://photos/text.png")


def test_an_absent_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(uri: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    with pytest.raises(DependencyError, match=r"s3:// addresses.*Install s3fs.*densecorr\[s3\]"):
        read_image("s3://bucket/a.png")
    with pytest.raises(DependencyError, match=r"densecorr\[gcs\]"):
        read_image("gs://bucket/a.png")


def test_an_unknown_protocol_is_an_image_error() -> None:
    with pytest.raises(ImageError, match=r"nosuch://a\.png.*Protocol not known"):
        read_image("nosuch://a.png")


def test_the_web_is_asked_again_when_that_may_help(web: str) -> None:
    Answers.script = [503, 429, png(PIXELS)]
    assert_array_equal(read_image(web), PIXELS)
    assert Answers.n_asked == 3
    assert_array_equal(read_image(web), PIXELS)
    assert Answers.n_asked == 3
    Answers.script = [404]
    with pytest.raises(ImageError, match="status 404"):
        read_image(f"{web}?other")
    assert Answers.n_asked == 4
    Answers.script = [500]
    with pytest.raises(ImageError, match="status 500"):
        read_image(f"{web}?broken")
    assert Answers.n_asked == 7


def test_a_header_needs_the_beginning_only(web: str, cache: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    Answers.script = [png(noise)[: 1 << 17]]  # the rest is not there: it must not be asked for
    header = read_header(web)
    assert (header.width, header.height) == (900, 700)
    assert not cache.exists()


def test_the_unused_longest_go_first_and_strangers_stay(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    size = len(png(PIXELS))
    small = ImageCache(tmp_path / "small", limit=int(4.5 * size))
    stranger = tmp_path / "small" / "ab" / "holiday.png"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(bytes(10 * size))
    uris = [f"memory://photos/{k}.png" for k in range(6)]
    for k, uri in enumerate(uris[:4]):
        memory.pipe_file(uri.removeprefix("memory:/"), png(PIXELS))
        os.utime(small.get(uri), (k + 1, k + 1))
    small.get(uris[0])  # used again: now the newest
    for uri in uris[4:]:
        memory.pipe_file(uri.removeprefix("memory:/"), png(PIXELS))
        small.get(uri)
    assert [small.path(uri).exists() for uri in uris] == [True, False, False, True, True, True]
    assert stranger.exists()


def test_an_unusable_cache_is_said(
    memory: fsspec.AbstractFileSystem, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(DependencyError, match="DENSECORR_IMAGE_CACHE"):
        read_image("memory://photos/a.png")
    monkeypatch.setenv("DENSECORR_IMAGE_CACHE_GB", "many")
    with pytest.raises(SettingsError, match="'many'"):
        read_image("memory://photos/a.png")
