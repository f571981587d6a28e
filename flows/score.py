"""`densecorr score`: figures of result files by a protocol of the field; files in, table and JSON out, no store."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from densecorr.errors import SettingsError

if TYPE_CHECKING:
    from densecorr.evaluation.bootstrap import BootstrapSettings

    from .session import Session

DENSEPOSE = ("gps", "gpsm", "segm-iou")
Appended = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclass(frozen=True)
class Score:
    """Score result files: DensePose AP (reference or corrected), PCK, geodesic errors, COCO AP and others.

    Prints a table with bootstrap intervals; `--json` writes everything. See docs/scoring.md and docs/metrics.md.
    """

    gt: Path | None = None
    """The truth: a COCO-DensePose file for gps, gpsm and segm-iou; for other metrics see docs/metrics.md."""
    pred: Path | None = None
    """The results: a JSON list, or label sets (labels.parquet)."""
    geodesics: Appended = ()
    """(V, V) float32 .npy file of geodesic distances; with several meshes NAME=file, once for each ref_model."""
    metric: Literal[
        "gps", "gpsm", "segm-iou", "geodesic", "rcp", "left-right", "pck", "flow-pck", "aepe", "mpvpe", "epipolar",
        "ece", "bbox", "segm",
    ] = "gps"  # fmt: skip
    """What is measured."""
    protocol: Literal["reference", "corrected"] = "reference"
    """Of gps, gpsm and segm-iou: as detectron2's DensePose evaluator to the bit, or with its quirks mended."""
    json: Path | None = None
    """Write figures, intervals, slices and settings to this file."""
    report: Path | None = None
    """Write a page with figures, slices and the worst instances as pictures (gps, gpsm, segm-iou)."""
    images: Path | None = None
    """Folder of the images, for the report's pictures and for metrics that need image sizes."""
    worst: int = 12
    """Instances in the report."""
    compare: tuple[Path, Path] | None = None
    """Two JSON files that `--json` wrote, or two `evaluate` artifacts: differences with paired intervals, A - B."""
    leaderboard: Path | None = None
    """Write a page of all `evaluate` artifacts of the store, and of the files of --runs."""
    runs: tuple[Path, ...] = ()
    """JSON files that `--json` wrote, for the leaderboard."""
    charts: Path | None = None
    """Chart table (docs/densepose.md), for annotations and results in IUV form."""
    vertex_map: Appended = ()
    """FROM:TO=file.npy, the vertex of mesh TO for each vertex of FROM: scores results made on another mesh."""
    reach: float = 8.0
    """With label sets as results: a pixel takes the nearest labelled point's vertex up to so many pixels away."""
    kappa: float | None = None
    """Tolerance of a point, in the unit of the geodesics (gps, gpsm: .255); of mpvpe's vertex similarity."""
    alphas: tuple[float, ...] | None = None
    """pck, flow-pck: shares of the reference length."""
    reference: Literal["bbox", "image", "square", "keypoints", "silhouette"] | None = None
    """pck: the reference length."""
    mean: Literal["point", "image"] | None = None
    """Pool all points, or average images (pairs, instances); the default is the metric's own."""
    unit: Literal["m", "mm", "none"] = "m"
    """Of geodesics and positions in the files."""
    thresholds: tuple[float, ...] | None = None
    """rcp: cm; epipolar: pixels."""
    align: Literal["none", "root", "procrustes"] = "none"
    """mpvpe: how predicted vertices are aligned first."""
    root: tuple[int, ...] = ()
    """mpvpe: vertices whose mean is the root; none: all."""
    bins: Literal["width", "count"] | None = None
    """ece: bins of equal width or of equal count."""
    n_bins: int = 15
    """ece: number of bins."""
    mirrors: Appended = ()
    """left-right: .npy file of each vertex's mirror partner; with several meshes NAME=file."""
    resamples: int = 1000
    """Bootstrap resamples of images (or pairs, frames); 0 draws no intervals."""
    seed: int = 0
    """Of the bootstrap."""

    def __call__(self, session: "Session") -> None:
        """Score, print, write."""
        if self.resamples < 0:
            raise SettingsError("resamples of at least 0", str(self.resamples), "Correct --resamples.")
        if self.leaderboard is not None:
            from .leaderboard import write_leaderboard

            write_leaderboard(session.store, self.leaderboard, self.runs)
            print(self.leaderboard)
        elif self.compare is not None:
            from .score_compare import compare_runs

            print(compare_runs(self.compare, session, self.json, self.bootstrap()))
        elif self.gt is None or self.pred is None:
            raise SettingsError(
                "--gt and --pred, --compare A B, or --leaderboard page.html",
                "neither" if self.gt is None and self.pred is None else "only one of --gt and --pred",
                "For example: densecorr score --gt gt.json --pred pred.json --geodesics geo.npy --json out.json.",
            )
        elif self.metric in DENSEPOSE:
            from .score_densepose import run_densepose

            print(run_densepose(self))
        else:
            from .score_field import run_field

            print(run_field(self))

    def bootstrap(self) -> "BootstrapSettings":
        """How intervals are drawn."""
        from densecorr.evaluation.bootstrap import BootstrapSettings

        return BootstrapSettings(n_resamples=self.resamples, seed=self.seed)

    def refuse(self, names: tuple[str, ...]) -> None:
        """Say so if one of these options was given: this metric does not read them.

        Raises:
            SettingsError: one was.
        """
        default = Score()
        given = [name for name in names if getattr(self, name) != getattr(default, name)]
        if given:
            said = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise SettingsError(f"options that {self.metric} reads", said, "Leave them out.")

    def files(self) -> tuple[Path, Path]:
        """Truth and results."""
        assert self.gt is not None
        assert self.pred is not None
        return self.gt, self.pred

    def placed(self) -> "Score":
        """The same with absolute paths, so that its record can be scored again from anywhere."""

        def absolute(text: str) -> str:
            name, sign, file = text.rpartition("=")
            return f"{name}{sign}{Path(file).absolute()}"

        gt, pred = self.files()
        return replace(
            self,
            gt=gt.absolute(),
            pred=pred.absolute(),
            geodesics=tuple(map(absolute, self.geodesics)),
            vertex_map=tuple(map(absolute, self.vertex_map)),
            mirrors=tuple(map(absolute, self.mirrors)),
            charts=None if self.charts is None else self.charts.absolute(),
            images=None if self.images is None else self.images.absolute(),
        )
