"""Features of the template's views, and of an image, as rows of foreground cells (SHIC Sec. 3.3, eq. 1)."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from ..config import from_jsonable, to_jsonable
from ..errors import ArtifactError
from ..features import FeatureExtractor, Features
from ..features.batching import Picture, extract_all
from ..hub import pinned_reference, with_models
from ..rendering.cameras import project_points
from ..rendering.rasterize import visible_vertices
from ..rendering.views import Views
from ..view_features import ViewFeatures


def foreground_cells(silhouette: Bool[Tensor, "H W"], stride: int) -> Bool[Tensor, "h w"]:
    """Cells at least half covered by the silhouette; of a thin one, the most covered cells: one remains."""
    share = avg_pool2d(silhouette[None, None].float(), stride)[0, 0]
    if not (share > 0).any():
        return share > 0
    return share >= min(0.5, float(share.max()))


def cell_centers(cells: Bool[Tensor, "h w"], stride: int) -> Float[np.ndarray, "Q 2"]:
    """Pixel positions (x, y) of the set cells, row by row."""
    ys, xs = np.nonzero(cells.numpy())
    return (np.stack([xs, ys], axis=1) + 0.5) * stride - 0.5


def foreground_rows(
    grid: Float[Tensor, "C h w"], silhouette: Bool[Tensor, "H W"], stride: int
) -> tuple[Float[Tensor, "Q C"], Float[np.ndarray, "Q 2"]]:
    """Unit features of the foreground cells of one crop, on the grid's device, and their centres in crop pixels."""
    cells = foreground_cells(silhouette, stride)
    rows = normalize(grid[:, cells.to(grid.device)].T.float(), dim=1)
    return rows, cell_centers(cells, stride)


def nearest_cells(xy: Float[np.ndarray, "P 2"], centers: Float[np.ndarray, "Q 2"]) -> Int[np.ndarray, " P"]:
    """The foreground cell nearest each position (architecture's cell rule); the first among equals."""
    distance = ((xy[:, None] - centers[None]) ** 2).sum(axis=-1)
    return distance.argmin(axis=1)


def lift_views(
    V: Float[np.ndarray, "V 3"],
    F: Int[np.ndarray, "F 3"],
    views: Views,
    vertices: Int[np.ndarray, " K"],
    extractor: FeatureExtractor,
    progress: Callable[[int, int], object] | None = None,
    batch: int = 0,
    device: str = "cpu",
) -> ViewFeatures:
    """Extract every view and note which cell each of `vertices` falls into where it is visible.

    Cells that no vertex falls into are left out: nothing could be matched to them. `batch` and `device` are those of
    `extract_all`; the result lies on the CPU.
    """
    rows, cells, owners, starts = [], [], [], [0]
    pictures = (
        Picture(
            torch.from_numpy(image).permute(2, 0, 1).float() / 255,
            torch.from_numpy(fragment.face >= 0),
            f"view-{index}",
        )
        for index, (fragment, image) in enumerate(zip(views.fragments, views.images, strict=True))
    )
    grids = extract_all(extractor, pictures, batch, device)
    for index, (camera, fragment, grid) in enumerate(zip(views.cameras, views.fragments, grids, strict=True)):
        silhouette = torch.from_numpy(fragment.face >= 0)
        features, centers = foreground_rows(grid.cpu(), silhouette, extractor.stride)
        visible = visible_vertices(V, F, camera, fragment)[vertices]
        xy = project_points(V[vertices], camera)[0]
        cell = np.full(len(vertices), -1, dtype=np.int64)
        owner = np.full(len(centers), -1, dtype=np.int64)
        seen = np.flatnonzero(visible)
        if len(seen) and len(centers):
            cell[seen] = nearest_cells(xy[seen], centers)
            away = ((xy[seen] - centers[cell[seen]]) ** 2).sum(axis=1)
            order = np.lexsort((seen, away, cell[seen]))
            first = order[np.unique(cell[seen][order], return_index=True)[1]]
            owner[cell[seen][first]] = seen[first]
        used = owner >= 0
        cell[seen] = (np.cumsum(used) - 1)[cell[seen]] + starts[-1]
        rows.append(features[torch.from_numpy(used)])
        cells.append(cell)
        owners.append(owner[used])
        starts.append(starts[-1] + int(used.sum()))
        if progress is not None:
            progress(index + 1, len(views.cameras))
    return ViewFeatures(
        torch.cat(rows),
        np.array(starts),
        torch.from_numpy(np.stack(cells)),
        torch.from_numpy(np.concatenate(owners)),
        np.asarray(vertices, dtype=np.int64),
        views.angles,
    )


def write_view_features(folder: Path, views: ViewFeatures, extractor: Features) -> None:
    """`features.safetensors`: every array of the record; `extractor.json`: the settings that images need as well.

    Hub models are named there by the commit that was used, so that images get no other.
    """
    tensors = {
        "rows": views.rows.contiguous(),
        "cell": views.cell.to(torch.int32),
        "owner": views.owner.to(torch.int32),
        "starts": torch.from_numpy(views.starts),
        "vertices": torch.from_numpy(views.vertices),
        "angles": torch.from_numpy(views.angles),
    }
    save_file(tensors, folder / "features.safetensors")
    pinned = with_models(extractor, pinned_reference)
    (folder / "extractor.json").write_text(json.dumps(to_jsonable(pinned), indent=1) + "\n")


def read_view_features(folder: Path) -> tuple[ViewFeatures, Features]:
    """What `write_view_features` wrote.

    Raises:
        ArtifactError: the folder holds no features.
    """
    try:
        stored = load_file(folder / "features.safetensors")
        extractor = from_jsonable(Features, json.loads((folder / "extractor.json").read_text()))
    except FileNotFoundError as error:
        raise ArtifactError("features of views", str(folder), "Name a `features` artifact.") from error
    views = ViewFeatures(
        stored["rows"],
        stored["starts"].numpy(),
        stored["cell"].long(),
        stored["owner"].long(),
        stored["vertices"].numpy(),
        stored["angles"].numpy(),
    )
    return views, extractor
