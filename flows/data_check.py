"""`densecorr data check`: suspicious labels, as a table and a page, before training on them."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from densecorr.datasets.quality import QualitySettings

if TYPE_CHECKING:
    import numpy as np

    from densecorr.datasets.quality import Finding
    from densecorr.records import LabelRecord
    from densecorr.templates.stored import Template
    from storage.datasets import DatasetInstance

    from .session import Session

NO_TEMPLATE = "needs --template"


@dataclass(frozen=True)
class Check:
    """Look for suspicious labels: points off masks, left for right, boxes off masks, duplicates across splits..."""

    dataset: Annotated[str, tyro.conf.Positional]
    """The data set: an id, a unique prefix, a tag, or its folder."""
    labels: str | None = None
    """Check these label sets (a `pseudo-label` artifact) instead of the data set's own."""
    template: str | None = None
    """The template of the labels, for the checks of sides and visibility."""
    settings: Annotated[QualitySettings, tyro.conf.arg(name="")] = field(default_factory=QualitySettings)
    out: Path | None = None
    """The HTML page; the findings go beside it as .parquet and .csv."""
    json: bool = False
    """Print the findings as JSON instead of counts."""
    worst: int = 8
    """Pictures of each kind."""
    images: bool = True
    """Read every image to find near-duplicates across splits."""
    strict: bool = False
    """Exit with 1 if there is a finding of severity `error`."""

    def __call__(self, session: "Session") -> int:
        """Print the counts and write the page."""
        from densecorr.datasets.quality import KINDS
        from densecorr.templates.stored import read_template
        from storage.datasets import read_dataset_info, read_instances

        from .check_pictures import draw_worst
        from .data_query import dataset_folder

        folder = dataset_folder(session, self.dataset)
        labels_from = (
            folder if self.labels is None else session.store.path(session.store.resolve(self.labels))
        )
        template = (
            None
            if self.template is None
            else read_template(session.store.path(session.store.resolve(self.template)))
        )
        items = read_instances(folder, crowds=True)
        findings, left_out = find_problems(folder, labels_from, items, template, self.settings, self.images)
        if self.out is not None:
            pictures = draw_worst(
                items,
                _labels(labels_from),
                findings,
                self.worst,
                read_dataset_info(folder),
                sides_of(template),
            )
            self._write(len(items), findings, left_out, pictures)
        if self.json:
            print(json.dumps([vars(one) for one in findings], indent=1))
        else:
            counts = Counter(one.kind for one in findings)
            for kind, meaning in KINDS.items():
                number = "not checked" if kind in left_out else f"{counts[kind]:,}"
                print(f"{kind:<26}{number:>12}  {left_out.get(kind, meaning)}")
        return int(self.strict and any(one.severity == "error" for one in findings))

    def _write(
        self,
        n_instances: int,
        findings: "list[Finding]",
        left_out: dict[str, str],
        pictures: "list[tuple[Finding, np.ndarray | None]]",
    ) -> None:
        """The page, whole or not at all, and the two tables."""
        import pyarrow.csv
        import pyarrow.parquet

        from densecorr.datasets.quality_report import findings_table, quality_page

        from .session import say
        from .whole_file import whole_file

        assert self.out is not None  # the caller looked
        self.out.parent.mkdir(parents=True, exist_ok=True)
        table = findings_table(findings)
        pyarrow.parquet.write_table(table, self.out.with_suffix(".parquet"))
        pyarrow.csv.write_csv(table, self.out.with_suffix(".csv"))
        page = quality_page(self.dataset, findings, n_instances, self.settings, left_out, pictures)
        with whole_file(self.out) as part:
            part.write_text(page, encoding="utf-8")
        say(f"{self.out}: {len(findings)} findings, also as .parquet and .csv")


def find_problems(
    folder: Path,
    labels_from: Path,
    items: "list[DatasetInstance]",
    template: "Template | None",
    settings: QualitySettings,
    read_images: bool = True,
) -> "tuple[list[Finding], dict[str, str]]":
    """Every finding, and the kinds that could not be checked with the reason."""
    from densecorr.datasets import quality
    from densecorr.datasets.keypoints import keypoint_set_of
    from storage.datasets import read_dataset_info

    info, left_out = read_dataset_info(folder), {}
    labels = _labels(labels_from)
    findings: list[Finding] = []
    side, visible = sides_of(template), None
    if template is None:
        left_out = {"left_right": NO_TEMPLATE, "never_visible": NO_TEMPLATE}
    else:
        visible = view_visibility(template)
    n_sided = 0
    for item in items:
        record = item.instance
        findings += quality.check_instance(record, item.image, settings)
        names = keypoint_set_of(info, record.category, len(record.extra.get("keypoints") or ()) // 3)
        for label in labels.get(record.instance_id, ()):
            findings += quality.check_points(label, record, item.image, settings)
            if template is None or label.template_id != template.template_id:
                continue
            assert side is not None  # set with the template
            assert visible is not None
            if names is not None:
                n_sided += 1
                findings += quality.check_sides(label, record, names, side, settings)
            findings += quality.check_views(label, record, visible, settings)
    if template is not None and not n_sided:
        left_out["left_right"] = "no labels with named keypoints"
    findings += quality.check_duplicates([item.instance for item in items], settings)
    if read_images:
        by_image = {item.image.image_id: item for item in items}
        records = [item.image for item in by_image.values()]
        findings += quality.check_images(records, [item.path for item in by_image.values()], settings)
    else:
        left_out["duplicate_across_splits"] = "--no-images"
    return findings, left_out


def sides_of(template: "Template | None") -> "np.ndarray | None":
    """The side of each template vertex, 1 left, -1 right, 0 neither; None without a template."""
    from densecorr.datasets.quality_geometry import vertex_sides

    return None if template is None else vertex_sides(template.V, template.mirror_plane)


def view_visibility(template: "Template") -> "np.ndarray":
    """Which vertices each view of the default rig shows, (N, V) bool."""
    import numpy as np

    from densecorr.rendering.cameras import camera_rig
    from densecorr.rendering.rasterize import make_scene, visible_vertices

    scene = make_scene(template.V, template.F)
    seen = [
        visible_vertices(template.V, template.F, camera, scene.fragments(camera))
        for camera in camera_rig(template.V)
    ]
    return np.stack(seen)


def _labels(folder: Path) -> "dict[str, list[LabelRecord]]":
    """All label sets by instance."""
    from storage.rows import table_to_records
    from storage.tables import read_table

    sets: dict[str, list[LabelRecord]] = {}
    for record in table_to_records("labels", read_table(folder / "labels.parquet", "labels")):
        sets.setdefault(record.instance_id, []).append(record)
    return sets
