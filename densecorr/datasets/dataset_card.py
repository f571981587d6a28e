"""The README.md of a Hugging Face data set: what the Hub and `load_dataset` read of it, and what a person reads."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from .exports import Selection

# identifiers of https://huggingface.co/docs/hub/repositories-licenses that a data set of images is likely to have
HUB_LICENCES = frozenset(
    "apache-2.0 mit cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 "
    "cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 "
    "cc-by-nc-sa-4.0 odc-by odbl pddl".split()
)
_CREATIVE_COMMONS = re.compile(r"creativecommons\.org/licenses/(by(?:-nc|-nd|-sa)*)/(\d\.\d)")
_SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"))


@dataclass(frozen=True)
class SplitSize:
    """How much a split holds: images, bytes in memory, bytes of its files."""

    images: int
    n_bytes: int
    n_stored: int


def dataset_card(name: str, selection: Selection, sizes: Mapping[str, SplitSize]) -> str:
    """The card as text: YAML between `---`, then a description; texts in the YAML are JSON, which YAML includes.

    Args:
        name: the title.
        selection: what was written.
        sizes: by split.
    """
    counts = Counter(selection.images["licence"].to_pylist())
    licences = sorted({licence_identifier(licence, _addresses(selection).get(licence)) for licence in counts})
    head = [
        f"pretty_name: {json.dumps(name, ensure_ascii=False)}",
        *("license:", *(f"- {licence}" for licence in licences)),
        *("size_categories:", f"- {size_category(len(selection.images))}"),
        *("configs:", "- config_name: default", "  data_files:"),
    ]
    for split in sizes:
        head += [f"  - split: {json.dumps(split)}", f"    path: {json.dumps(f'data/{split}-*')}"]
    head += ["dataset_info:", "  splits:"]
    for split, size in sizes.items():
        head += [f"  - name: {json.dumps(split)}", f"    num_bytes: {size.n_bytes}"]
        head += [f"    num_examples: {size.images}"]
    head += [f"  download_size: {sum(size.n_stored for size in sizes.values())}"]
    head += [f"  dataset_size: {sum(size.n_bytes for size in sizes.values())}"]
    return "\n".join(["---", *head, "---", "", f"# {name}", "", *_body(selection, sizes, counts)]) + "\n"


def licence_identifier(name: str | None, address: str | None = None) -> str:
    """The Hub's identifier of a licence by its name or address: `other` if it knows none, `unknown` without a name."""
    if name is None:
        return "unknown"
    for text in (name, address or ""):
        found = _CREATIVE_COMMONS.search(text)
        if "creativecommons.org/publicdomain/zero" in text:
            return "cc0-1.0"
        plain = f"cc-{found[1]}-{found[2]}" if found else re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
        plain = {"cc0": "cc0-1.0"}.get(plain, plain)
        if plain in HUB_LICENCES:
            return plain
    return "other"


def size_category(images: int) -> str:
    """The Hub's word for so many rows."""
    return next((word for bound, word in _SIZES if images < bound), "n>10M")


def _body(selection: Selection, sizes: Mapping[str, SplitSize], licences: Counter) -> list[str]:
    points = "one vertex of a template (`template_id`) a point: pixel `x`, `y`, its `vertex` (-1: none)"
    return [
        f"{len(selection.images)} images, {len(selection.instances)} objects, {len(selection.labels)} sets of "
        "dense correspondences, written by `densecorr data export`.",
        "",
        *(
            "```python",
            "from datasets import load_dataset",
            "",
            'data = load_dataset("path/to/this/folder")',
            "```",
        ),
        "",
        *("| split | images |", "| --- | --- |", *(f"| {k} | {size.images} |" for k, size in sizes.items())),
        "",
        "A row is an image; `objects` holds its instances: `bbox` is x, y, width, height in pixels, `segmentation` "
        "either `polygons` (x, y, x, y, ...) or `counts`, a compressed COCO run-length encoding of `size` (height, "
        "width). "
        f"`labels` of an object are its label sets, {points}, and `part`, `u`, `v` where it has DensePose charts. "
        "Pixel centres are whole numbers. Columns `extra` are JSON.",
        "",
        "Positions are those of the upright image: apply the EXIF orientation of a file if it has one.",
        "",
        *("| licence of the images | |", "| --- | --- |"),
        *(f"| {_cell(licence or 'unknown')} | {count} |" for licence, count in licences.most_common()),
    ]


def _addresses(selection: Selection) -> dict[str, str]:
    """Licence name to address, as the source file says."""
    entries = selection.info.get("licenses")
    entries = entries if isinstance(entries, list) else []
    return {str(e.get("name")): str(e.get("url", "")) for e in entries if isinstance(e, dict)}


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
