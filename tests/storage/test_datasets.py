"""Where the images of a data set are."""

from pathlib import Path

import pytest

from storage.datasets import image_path, moved_root

HERE = Path("/store/artifacts/b")


@pytest.mark.parametrize(
    ("root", "uri", "expected"),
    [
        ("/data", "a/1.png", Path("/data/a/1.png")),
        ("/data", "/else/1.png", Path("/else/1.png")),
        ("", "frames/1.png", HERE / "frames" / "1.png"),
        ("../a/frames", "1.png", HERE / ".." / "a" / "frames" / "1.png"),
        ("/data", "s3://bucket/1.png", "s3://bucket/1.png"),
        ("s3://bucket/set/", "a/1.png", "s3://bucket/set/a/1.png"),
        ("s3://bucket/set", "https://host/1.png", "https://host/1.png"),
        ("", "file:///data/a%20b.png", Path("/data/a b.png")),
        ("file:///data", "1.png", Path("/data/1.png")),
    ],
)
def test_an_image_is_below_its_root_or_at_its_address(root: str, uri: str, expected: Path | str) -> None:
    assert image_path(HERE, root, uri) == expected


@pytest.mark.parametrize(
    ("root", "expected"),
    [("/data", "/data"), ("s3://b/c", "s3://b/c"), ("", "../old"), ("../a/frames", "../a/frames")],
)
def test_a_root_seen_from_the_artifact_beside(root: str, expected: str) -> None:
    assert moved_root(root, "old") == expected
