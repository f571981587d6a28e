"""Near-duplicates are found after recompression and scaling, and nothing else is."""

import itertools
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from PIL import Image

from densecorr.datasets import duplicates
from densecorr.datasets.duplicates import (
    duplicate_groups,
    duplicate_labels,
    near_pairs,
    perceptual_hash,
)
from densecorr.errors import ImageError, SettingsError
from densecorr.images import write_png


def scene(seed: int, height: int = 240, width: int = 320) -> np.ndarray:
    """Soft blobs of colour: like photographs, most is in low frequencies."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def recompressed(image: np.ndarray, quality: int) -> np.ndarray:
    stored = BytesIO()
    Image.fromarray(image).save(stored, "JPEG", quality=quality)
    return np.asarray(Image.open(stored))


def distance(a: np.ndarray, b: np.ndarray) -> int:
    first, second = perceptual_hash(a), perceptual_hash(b)
    assert first is not None
    assert second is not None
    return (first ^ second).bit_count()


@pytest.mark.parametrize("seed", range(5))
def test_a_hash_survives_what_leaves_the_picture_the_same(seed: int) -> None:
    image = scene(seed)
    assert distance(image, image.copy()) == 0
    assert distance(image, recompressed(image, 30)) <= 4
    assert distance(image, cv2.resize(image, (199, 151), interpolation=cv2.INTER_AREA)) <= 4
    assert distance(image, np.clip(image.astype(int) + 8, 0, 255).astype(np.uint8)) <= 6


def test_hashes_of_different_images_are_far_apart() -> None:
    hashes = [perceptual_hash(scene(seed)) for seed in range(40)]
    distances = [(a ^ b).bit_count() for a, b in itertools.combinations(hashes, 2)]
    assert min(distances) > 10
    assert np.mean(distances) == pytest.approx(32, abs=1)


def test_an_image_of_one_colour_has_no_hash() -> None:
    assert perceptual_hash(np.full((30, 40, 3), 200, dtype=np.uint8)) is None


@effort(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=12, unique=True),
    st.lists(st.sets(st.integers(0, 63), max_size=9), min_size=1, max_size=4),
    st.integers(0, 12),
)
def test_bands_find_what_all_pairs_find(bases: list[int], flips: list[set[int]], threshold: int) -> None:
    values = {base ^ sum(1 << bit for bit in bits) for base in bases for bits in flips}
    hashes = np.array(sorted(values), dtype=np.uint64)
    expected = [
        [a, b]
        for a, b in itertools.combinations(range(len(hashes)), 2)
        if (int(hashes[a]) ^ int(hashes[b])).bit_count() <= threshold
    ]
    assert near_pairs(hashes, threshold).tolist() == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_ALL_PAIRS", 0)
        patch.setattr(duplicates, "_BLOCK", 7)
        assert near_pairs(hashes, threshold).tolist() == expected


def test_a_threshold_that_takes_everything_is_refused() -> None:
    with pytest.raises(SettingsError, match="0 to 31"):
        near_pairs(np.zeros(2, dtype=np.uint64), 32)


def test_digests_and_hashes_link_and_links_are_passed_on() -> None:
    labels = duplicate_labels(["x", None, "x", "y", None], [None, 0b111, 0, 0xFFFF << 40, None], 3)
    assert labels.tolist() == [0, 0, 0, 1, 2]  # 0 and 2 by digest, 1 and 2 by hash
    assert duplicate_labels(["x", None, "x"], [1, 1, 1], None).tolist() == [0, 1, 0]
    assert duplicate_labels([], []).tolist() == []


def test_groups_of_files(tmp_path: Path) -> None:
    for seed in range(6):
        write_png(tmp_path / f"{seed}.png", scene(seed))
    Image.fromarray(scene(2)).save(tmp_path / "again.jpg", quality=40)
    (tmp_path / "copy.png").write_bytes((tmp_path / "4.png").read_bytes())
    names = ["0.png", "1.png", "2.png", "3.png", "4.png", "5.png", "again.jpg", "copy.png"]
    paths = [tmp_path / name for name in names]
    assert duplicate_groups(paths) == [[2, 6], [4, 7]]
    assert duplicate_groups(paths, threshold=None) == [[4, 7]]
    with pytest.raises(ImageError, match=r"none\.png"):
        duplicate_groups([tmp_path / "none.png"])
