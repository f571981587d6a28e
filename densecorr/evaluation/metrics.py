"""The figures as files: `metrics.json` for people and programs, `per_instance.parquet` for analysis."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..config import to_jsonable
from .evaluate import Comparison, GroupResult, MethodResult

_DIGITS = 6  # significant; far below any interval, above the noise of summation order


def write_metrics(
    folder: Path,
    results: Mapping[str, MethodResult],
    comparisons: Sequence[Comparison] = (),
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write metrics.json (sorted keys, six digits, null where undefined) and per_instance.parquet.

    `extra` adds top-level keys (template id, lineage). Without results the JSON says so and there is no
    table.
    """
    data = {
        "version": 1,
        "methods": {name: _method(result) for name, result in results.items()},
        "comparisons": [to_jsonable(comparison) for comparison in comparisons],
        **to_jsonable(dict(extra or {})),
    }
    text = json.dumps(_rounded(data), sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
    if results:
        _write_instances(folder / "per_instance.parquet", results)


def _method(result: MethodResult) -> dict[str, Any]:
    return {
        "overall": _group(result.overall),
        "by_category": {name: _group(group) for name, group in result.by_category.items()},
        "by_visibility": {name: _group(group) for name, group in result.by_visibility.items()},
        "by_slice": {
            by: {name: _group(group) for name, group in groups.items()}
            for by, groups in result.by_slice.items()
        },
        "category_mean": dict(result.category_mean),
        "omitted": dict(result.omitted),
        "omitted_slices": dict(result.omitted_slices),
        "settings": to_jsonable(result.settings),
    }


def _group(group: GroupResult) -> dict[str, Any]:
    return {
        "figures": {name: to_jsonable(interval) for name, interval in group.figures.items()},
        "n_instances": group.n_instances,
        "n_points": group.n_points,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value


def _write_instances(path: Path, results: Mapping[str, MethodResult]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(name for result in results.values() for name in result.columns))
    columns: dict[str, Any] = {
        "method": [name for name, result in results.items() for _ in result.columns["instance_id"]]
    }
    for name in names:
        parts = [
            result.columns.get(name, np.full(len(result.columns["instance_id"]), np.nan))
            for result in results.values()
        ]
        merged = np.concatenate(parts)
        columns[name] = pa.array(merged, from_pandas=True)  # NaN becomes null
    metadata = {"densecorr.table": "per_instance", "densecorr.version": "1"}
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, compression="zstd")
