"""DensePose scoring in the evaluator's order of work: per image, pair, threshold; written plainly, on the files' dicts.

The honest baseline of the benchmark and the truth of the tests of `--protocol reference`. It follows the behaviour of
detectron2's evaluator (commit 02b5c4e, `DensePoseCocoEval`) for CSE results whose vertices are given for each pixel of
the box: only the resampling of the embedding and the search for the nearest vertex are left out. Silhouettes come as
there, as scores of outside and inside (`coarse_segm`, here at the box's size), and are resampled for every pair.
"""

from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy.ndimage import zoom

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = [("all", 0, 1e5**2), ("medium", 32**2, 96**2), ("large", 96**2, 1e5**2)]
PART_KAPPA = np.array([0, 0.351, 0.107, 0.126, 0.237, 0.173, 0.142, 0.128, 0.150])
COARSE = np.array([0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8])


class PlainEvaluator:
    """Annotations and results as loaded from JSON (results' `vertices` as arrays); geodesics by mesh as tensors.

    `decoded` spares what the original does to silhouettes, where they are taken as given like the vertices.
    """

    def __init__(
        self,
        truth: dict,
        results: list[dict],
        geodesics: dict[str, np.ndarray],
        metric: str,
        decoded: bool = False,
    ) -> None:
        self.coco = COCO()
        self.coco.dataset = {"categories": [], **truth}
        self.coco.createIndex()
        self.results = [
            {**r, "id": n + 1, "area": r["bbox"][2] * r["bbox"][3]} for n, r in enumerate(results)
        ]
        for result in self.results if not decoded else ():
            inside = torch.from_numpy(result["vertices"] >= 0)
            result["coarse_segm"] = torch.stack([~inside, inside]).float()
        self.geodesics = {name: torch.as_tensor(D) for name, D in geodesics.items()}
        self.metric = metric
        self.images = sorted(self.coco.imgs)
        self.categories = sorted(self.coco.cats)

    def figures(self) -> dict[str, float]:
        self.prepare()
        gps = self.metric != "segm-iou"
        pairs = [(image, category) for image in self.images for category in self.categories]
        if self.metric != "gps":
            self.mask_iou = {pair: self.compute_mask_iou(*pair) for pair in pairs}
        self.alike = {pair: self.compute_gps(*pair, gps) for pair in pairs}
        cells = {
            (category, name): [
                self.match(image, category, low, high)
                for image in self.images
            ]
            for category in self.categories
            for name, low, high in AREAS
        }  # fmt: skip
        return self.accumulate(cells)

    def prepare(self) -> None:
        ids = self.coco.getAnnIds(imgIds=self.images, catIds=self.categories)
        truths = self.coco.loadAnns(ids)
        for truth in truths:
            truth["_hidden"] = "dp_x" not in truth
        regions: dict = {}
        self.truths, self.found = defaultdict(list), defaultdict(list)
        for truth in truths:
            if truth["image_id"] not in regions:
                regions[truth["image_id"]] = self.region(self.coco.imgs[truth["image_id"]])
            if keeps(truth["bbox"], regions[truth["image_id"]]):
                self.truths[truth["image_id"], truth["category_id"]].append(truth)
        for result in self.results:
            if result["category_id"] not in self.categories:
                continue
            if result["image_id"] not in regions or keeps(result["bbox"], regions[result["image_id"]]):
                self.found[result["image_id"], result["category_id"]].append(result)

    def region(self, image: dict) -> np.ndarray | None:
        if not image.get("ignore_regions_x"):
            return None
        flat = [
            [value for point in zip(xs, ys, strict=False) for value in point]
            for xs, ys in zip(image["ignore_regions_x"], image["ignore_regions_y"], strict=False)
        ]
        return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(flat, image["height"], image["width"])))

    def best(self, image: int, category: int) -> list[dict]:
        found = self.found[image, category]
        order = np.argsort([-r["score"] for r in found], kind="mergesort")
        return [found[i] for i in order][:20]

    def compute_gps(self, image: int, category: int, points: bool):
        truths, found = self.truths[image, category], self.best(image, category)
        if not truths or not found:
            return []
        alike = np.zeros((len(found), len(truths)))
        for j, truth in enumerate(truths):
            if truth["_hidden"] or not points:
                continue
            for i, result in enumerate(found):
                alike[i, j] = self.pair_gps(truth, result)
        boxes = coco_mask.iou(
            [r["bbox"] for r in found],
            [t["bbox"] for t in truths],
            [int(t.get("iscrowd", 0)) for t in truths],
        )
        return alike, boxes

    def pair_gps(self, truth: dict, result: dict) -> float:
        """`computeOgps`'s inner loop, `computeOgps_single_pair_cse`, `findClosestVertsCse`, `getDistancesCse`."""
        box, (x, y, w, h) = truth["bbox"], result["bbox"]
        px = (np.array(truth["dp_x"]) * box[2] / 255.0 + box[0] - x).astype(int)
        py = (np.array(truth["dp_y"]) * box[3] / 255.0 + box[1] - y).astype(int)
        outside = (px >= int(w)) | (py >= int(h)) | (px < 0) | (py < 0)
        if len(px) < 1 or outside.all():
            return 0.0
        true = torch.as_tensor(truth["dp_vertex"], dtype=torch.int64)
        silhouette = torch.as_tensor(self.silhouette(result))  # for every pair, as there
        vertex = torch.from_numpy(result["vertices"][py[~outside], px[~outside]].astype(np.int64))
        vertex[silhouette[py[~outside], px[~outside]] <= 0] = -1
        said = torch.ones_like(true) * -1
        said[~outside] = vertex
        distance = torch.ones_like(true) * float("inf")
        known = (true >= 0) * (said >= 0)
        distance[known] = self.geodesics[truth["ref_model"]][true[known], said[known]]
        kappa = 0.255
        if truth["ref_model"] == "smpl_27554" and "dp_I" in truth:
            kappa = PART_KAPPA[COARSE[np.array(truth["dp_I"], dtype=int)]]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.exp(-(distance.numpy() ** 2) / (2 * (kappa**2)))
        return np.mean(values)

    def silhouette(self, result: dict):
        """`resample_coarse_segm_tensor_to_bbox`, and `_extract_mask` likewise."""
        if "coarse_segm" not in result:
            return (result["vertices"] >= 0).astype(np.uint8)
        size = max(int(result["bbox"][3]), 1), max(int(result["bbox"][2]), 1)
        scores = F.interpolate(result["coarse_segm"].unsqueeze(0), size, mode="bilinear", align_corners=False)
        return scores.argmax(dim=1).squeeze(0)

    def compute_mask_iou(self, image: int, category: int):
        truths, found = self.truths[image, category], self.best(image, category)
        if not truths and not found:
            return []
        height, width = self.coco.imgs[image]["height"], self.coco.imgs[image]["width"]
        true = [self.truth_code(t, height, width) for t in truths]
        said = []
        for result in found:  # `computeDPIoU`
            mask = np.asarray(self.silhouette(result)).astype(np.uint8)
            mask = np.require(np.asarray(mask > 0), dtype=np.uint8, requirements=["F"])
            said.append(paste(mask, result["bbox"], height, width))
        return coco_mask.iou(said, true, [int(t.get("iscrowd", 0)) for t in truths])

    def truth_code(self, truth: dict, height: int, width: int):
        if "dp_masks" in truth:
            frame = np.zeros([256, 256])
            for number, part in enumerate(truth["dp_masks"][:14]):
                if part:
                    frame[coco_mask.decode(part) > 0] = number + 1
            w, h = max(truth["bbox"][2], 1), max(truth["bbox"][3], 1)
            large = zoom(np.minimum(frame, 1.0), (float(h) / 256, float(w) / 256), order=1, prefilter=False)
            return paste(np.array(large > 0.5, dtype=np.uint8), truth["bbox"], height, width)
        segmentation = truth.get("segmentation")
        if isinstance(segmentation, list) and segmentation:
            return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
        if isinstance(segmentation, dict):
            if isinstance(segmentation["counts"], list):
                return coco_mask.frPyObjects(segmentation, height, width)
            return segmentation
        return paste(None, truth["bbox"], height, width)

    def match(self, image: int, category: int, low: float, high: float) -> dict | None:
        truths, found = self.truths[image, category], self.best(image, category)
        if not truths and not found:
            return None
        for truth in truths:
            truth["_out"] = bool(truth["_hidden"] or truth["area"] < low or truth["area"] > high)
        order = np.argsort([t["_out"] for t in truths], kind="mergesort")
        truths = [truths[i] for i in order]
        crowd = [int(t.get("iscrowd", 0)) for t in truths]
        alike = self.alike[image, category]
        out = np.array([t["_out"] for t in truths])
        n = len(THRESHOLDS)
        taken, matched = np.zeros((n, len(truths))), np.zeros((n, len(found)))
        hidden = np.zeros((n, len(found)))
        if np.all(out):
            hidden = np.logical_or(hidden, True)
        if len(alike):
            gps, boxes = alike[0][:, order], alike[1][:, order]
            masks = self.mask_iou[image, category][:, order] if self.metric != "gps" else None
            for t, threshold in enumerate(THRESHOLDS):
                for d, result in enumerate(found):
                    least, m = min([threshold, 1 - 1e-10]), -1
                    for g in range(len(truths)):
                        if taken[t, g] > 0 and not crowd[g]:
                            continue
                        if m > -1 and out[m] == 0 and out[g] == 1:
                            break
                        value = gps[d, g]
                        if self.metric == "gpsm":
                            value = np.sqrt(masks[d, g] * value)
                        elif self.metric == "segm-iou":
                            value = masks[d, g]
                        if value < least or value == 0.0:
                            continue
                        least, m = value, g
                    if m == -1:
                        continue
                    hidden[t, d] = out[m]
                    matched[t, d] = truths[m]["id"]
                    taken[t, m] = result["id"]
            for d, result in enumerate(found):
                if matched[t, d] == 0:
                    least, m = 0.8, -1
                    for g in range(len(truths)):
                        if (taken[t, g] > 0 and not crowd[g]) or boxes[d, g] < least:
                            continue
                        least, m = boxes[d, g], g
                    if m > -1:
                        hidden[:, d] = out[m]
                        if out[m]:
                            matched[t, d] = truths[m]["id"]
                            taken[t, m] = result["id"]
        odd = np.array([r["area"] < low or r["area"] > high for r in found], dtype=bool).reshape(
            1, len(found)
        )
        hidden = np.logical_or(hidden, np.logical_and(matched == 0, np.repeat(odd, n, 0)))
        return {"score": [r["score"] for r in found], "matched": matched, "hidden": hidden, "out": out}

    def accumulate(self, cells: dict) -> dict[str, float]:
        n, k, a = len(THRESHOLDS), len(self.categories), len(AREAS)
        precision, recall = -np.ones((n, len(RECALLS), k, a)), -np.ones((n, k, a))
        for column, category in enumerate(self.categories):
            for row, (name, *_) in enumerate(AREAS):
                found = [cell for cell in cells[category, name] if cell is not None]
                if not found:
                    continue
                score = np.concatenate([cell["score"] for cell in found])
                order = np.argsort(-score, kind="mergesort")
                matched = np.concatenate([cell["matched"] for cell in found], axis=1)[:, order]
                hidden = np.concatenate([cell["hidden"] for cell in found], axis=1)[:, order]
                n_truths = np.count_nonzero(np.concatenate([cell["out"] for cell in found]) == 0)
                if n_truths == 0:
                    continue
                true = np.cumsum(np.logical_and(matched, np.logical_not(hidden)), axis=1).astype(float)
                false = np.cumsum(np.logical_and(np.logical_not(matched), np.logical_not(hidden)), axis=1)
                for t in range(n):
                    tp, fp = true[t], false[t].astype(float)
                    rate = tp / n_truths
                    value = (tp / (fp + tp + np.spacing(1))).tolist()
                    recall[t, column, row] = rate[-1] if len(tp) else 0
                    for i in range(len(tp) - 1, 0, -1):
                        if value[i] > value[i - 1]:
                            value[i - 1] = value[i]
                    read = np.zeros(len(RECALLS))
                    for r, place in enumerate(np.searchsorted(rate, RECALLS, side="left")):
                        if place < len(value):
                            read[r] = value[place]
                    precision[t, :, column, row] = read

        def mean(values: np.ndarray) -> float:
            values = values[values > -1]
            return float(np.mean(values) * 100) if len(values) else -100.0

        named = {}
        for name, values in (("AP", precision), ("AR", recall)):
            named |= {name: mean(values[..., 0]), f"{name}50": mean(values[[0], ..., 0])}
            named |= {f"{name}75": mean(values[[5], ..., 0])}
            named |= {f"{name}m": mean(values[..., 1]), f"{name}l": mean(values[..., 2])}
        return named


def keeps(bbox: list[float], region: np.ndarray | None) -> bool:
    """Whether a box stays beside the regions to ignore."""
    if region is None:
        return True
    box = np.array(bbox).astype(int)
    if box[2] * box[3] == 0:
        return False
    x2, y2 = min(box[0] + box[2], region.shape[1]), min(box[1] + box[3], region.shape[0])
    part = region[box[1] : y2, box[0] : x2]
    return part.sum() == 0 or part.sum() / box[2] / box[3] < 0.7


def paste(mask: np.ndarray | None, bbox: list[float], height: int, width: int):
    """A box's mask as the run lengths of its image: `_generate_rlemask_on_image`, copies included."""
    full = np.zeros((height, width), dtype=np.uint8)
    if mask is not None:
        x, y, w, h = bbox
        x0, x1 = max(int(x), 0), min(int(x + w), width, int(x) + mask.shape[1])
        y0, y1 = max(int(y), 0), min(int(y + h), height, int(y) + mask.shape[0])
        if x0 < x1 and y0 < y1:  # the original stops on boxes outside
            full[y0:y1, x0:x1] = mask[y0 - int(y) : y1 - int(y), x0 - int(x) : x1 - int(x)]
    full = np.require(np.asarray(full > 0), dtype=np.uint8, requirements=["F"])
    return coco_mask.encode(np.array(full[:, :, np.newaxis], order="F"))[0]
