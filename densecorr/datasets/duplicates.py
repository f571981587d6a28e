"""Images that are there twice: the same bytes, or nearly the same pixels by a perceptual hash.

The hash is 64 signs of a small cosine transform of the grey image, after Zauner, "Implementation and Benchmarking of
Perceptual Image Hash Functions" (2010): it survives scaling, recompression and small changes of brightness.
"""

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int64, UInt8, UInt64

from ..errors import SettingsError
from ..image_headers import image_errors
from ..image_uris import local_image
from ..images import read_image

THRESHOLD = 6  # bits of 64 that near-duplicates may differ in; two unrelated images differ in about 32
MAX_THRESHOLD = 31
SIDE, KEPT = 32, 8  # pixels of the grey thumbnail, cosines kept an axis
LEAST_CONTRAST = 2.0  # grey levels (standard deviation); below it there is nothing to compare
_ALL_PAIRS = 512  # up to so many hashes are compared with one another directly
_BLOCK = 1 << 22  # pairs compared at once


def perceptual_hash(image: UInt8[np.ndarray, "H W 3"]) -> int | None:
    """A 64-bit hash that near-duplicates share but for a few bits; None for an image of one colour.

    A bit is set where a cosine coefficient (of the lowest 8 x 8 but the constant, and one more) exceeds their median.
    """
    import cv2

    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if grey.std() < LEAST_CONTRAST:
        return None
    spectrum = cv2.dct(grey)
    values = np.append(spectrum[:KEPT, :KEPT].ravel()[1:], spectrum[KEPT, 0])
    return int.from_bytes(np.packbits(values > np.median(values)).tobytes(), "big")


def check_threshold(bits: int) -> None:
    """Raise a SettingsError if so many bits of 64 cannot tell near-duplicates from unrelated images."""
    if not 0 <= bits <= MAX_THRESHOLD:
        raise SettingsError(
            f"a duplicate threshold of 0 to {MAX_THRESHOLD} bits",
            str(bits),
            "Unrelated images differ in about 32.",
        )


def near_pairs(hashes: UInt64[np.ndarray, " N"], threshold: int = THRESHOLD) -> Int64[np.ndarray, "P 2"]:
    """Pairs of distinct hashes (as indices, the smaller first) that differ in at most `threshold` bits.

    Two hashes that differ in t bits agree on at least one of any t + 1 bands of bits, so only those that share a band
    are compared: exact, and far from all pairs.

    Raises:
        SettingsError: a threshold outside 0 to 31.
    """
    check_threshold(threshold)
    found = [np.zeros((0, 2), dtype=np.int64)]
    edges = np.linspace(0, 64, threshold + 2).round().astype(int)
    bands = [(0, 0)] if len(hashes) <= _ALL_PAIRS else list(itertools.pairwise(edges))
    for low, high in bands:
        key = (hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order], prepend=~key[order][:1]))
        for bucket in np.split(order, starts[1:]):
            found.append(_pairs_within(hashes, np.sort(bucket), threshold))
    return np.unique(np.concatenate(found), axis=0)


def duplicate_labels(
    digests: Sequence[str | None], hashes: Sequence[int | None], threshold: int | None = THRESHOLD
) -> Int64[np.ndarray, " N"]:
    """A group's number for each image, by first appearance: the same digest, or hashes within `threshold` bits.

    Being a duplicate is passed on: if a is near b and b near c, all three are one group. An image with neither digest
    nor hash is alone.

    Args:
        digests: sha256 of each file, None where unknown.
        hashes: `perceptual_hash` of each image, None where unknown.
        threshold: bits; None looks at digests only.
    """
    links = [_same(digests)]
    if threshold is not None:
        links.append(_same(hashes))
        known = np.array([index for index, value in enumerate(hashes) if value is not None], dtype=np.int64)
        values = np.array([hashes[index] for index in known], dtype=np.uint64)
        distinct, first = np.unique(values, return_index=True)
        links.append(known[first[near_pairs(distinct, threshold)]])
    return connected_labels(len(digests), np.concatenate(links))


def duplicate_groups(
    paths: Sequence[Path | str], threshold: int | None = THRESHOLD, threads: int = 4
) -> list[list[int]]:
    """Groups of two or more duplicates among image files or addresses, as indices into `paths`.

    Args:
        paths: files or addresses; the latter are fetched.
        threshold: bits in which near-duplicates may differ; None: the same bytes only.
        threads: images read at once.

    Raises:
        ImageError: an image cannot be read.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        prints = list(pool.map(lambda path: fingerprint(path, pixels=threshold is not None), paths))
    labels = duplicate_labels([one[0] for one in prints], [one[1] for one in prints], threshold)
    return groups_of(labels)


def fingerprint(path: Path | str, pixels: bool = True) -> tuple[str, int | None]:
    """The sha256 of an image file and, with `pixels`, its perceptual hash.

    Raises:
        ImageError: it cannot be read.
    """
    return hash_file(local_image(path)), perceptual_hash(read_image(path)) if pixels else None


def hash_file(path: Path) -> str:
    """The sha256 of a file.

    Raises:
        ImageError: it cannot be read.
    """
    with image_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def groups_of(labels: Int[np.ndarray, " N"]) -> list[list[int]]:
    """The groups of two or more, as indices, in the order of their first members."""
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order])) + 1
    groups = [group.tolist() for group in np.split(order, starts) if len(group) > 1]
    return sorted(groups)


def connected_labels(n: int, pairs: Int64[np.ndarray, "P 2"]) -> Int64[np.ndarray, " N"]:
    """A number for each of n things, the same for those that pairs connect, counted by first appearance."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _same(values: Sequence[str | int | None]) -> Int64[np.ndarray, "P 2"]:
    """Each index paired with the first that has the same value."""
    first: dict[str | int, int] = {}
    pairs = [
        (first.setdefault(value, index), index) for index, value in enumerate(values) if value is not None
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _pairs_within(
    hashes: UInt64[np.ndarray, " N"], members: Int64[np.ndarray, " M"], threshold: int
) -> Int64[np.ndarray, "P 2"]:
    """All pairs of the members within the threshold, a block of rows at a time."""
    values, found = hashes[members], [np.zeros((0, 2), dtype=np.int64)]
    step = max(1, _BLOCK // max(1, len(members)))
    for start in range(0, len(members) - 1, step):
        distance = np.bitwise_count(values[start : start + step, None] ^ values[None, :])
        row, column = np.nonzero(distance <= threshold)
        later = column > row + start
        found.append(np.stack([members[row[later] + start], members[column[later]]], axis=1))
    return np.concatenate(found)
