"""agreement.json: what `review agreement` found, as plain data; distances in the template's unit."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .review_agreement_evidence import Evidence
from .review_agreement_measure import THRESHOLDS, AnnotatorModel, Findings

if TYPE_CHECKING:
    from .review_agreement import ReviewAgreement


def facts_of(evidence: Evidence, findings: Findings, command: "ReviewAgreement") -> dict[str, Any]:
    """Everything but the maps.

    `unit` is "m" or "none" (the numbers of the mesh file); areas `auc_10` and `auc_30` are there with metres only; an
    interval is {value, low, high}, null where there is none; `incomplete` names the journals that could not be read;
    `reviewers` empty means all pairs together, `reviewer` empty everyone as if they were one.
    """
    size, metric = float(evidence.template.diameter), evidence.template.unit != "none"
    return {
        "inputs": dict(evidence.inputs),
        "unit": "m" if metric else "none",
        "diameter": size,
        "reviewers": [asdict(one) for one in findings.workloads],
        "thresholds": [float(t) if metric else float(t) * size for t in THRESHOLDS],
        "agreement": [_measured(asdict(one)) for one in findings.agreements],
        "gold": {
            "instances": len(evidence.gold),
            "from": evidence.gold_from,
            "annotators": [_measured(asdict(one)) for one in findings.scores],
        },
        "models": [_model_facts(one, size, command.tolerance) for one in findings.models],
        "conflicts": [
            {**asdict(conflict), "apart": apart}
            for conflict, apart in zip(findings.conflicts, findings.apart, strict=True)
        ],
        "decisions_on_other_labels": evidence.n_elsewhere,
        "incomplete": list(evidence.left_out),
    }


def simulated_settings(model: AnnotatorModel, diameter: float, tolerance: float) -> dict[str, Any]:
    """What was fitted, as settings of `collect.Simulated`; without enough gold points only the costs."""
    costs = {name: round(value, 2) for name, value in asdict(model.costs.costs).items()}
    if model.noise is None:
        return {"kind": "simulated", "costs": costs}
    noise = {
        "sigma": round(model.noise.sigma[0] / diameter, 5),
        "slip": round(model.noise.slip, 4),
        "miss": round(model.noise.miss, 4),
        "tolerance": tolerance,
    }
    return {"kind": "simulated", **noise, "costs": costs}


def to_toml(value: Any) -> str:
    """Text, numbers and tables of them as one line of a pipeline file."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {to_toml(item)}" for key, item in value.items()) + " }"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _measured(row: dict[str, Any]) -> dict[str, Any]:
    """An `Agreement` or `AnnotatorScore` with a name for each area."""
    auc: Sequence[dict[str, Any]] = row.pop("auc")
    return {**row, **dict(zip(("auc_10", "auc_30"), auc, strict=False))}


def _model_facts(model: AnnotatorModel, size: float, tolerance: float) -> dict[str, Any]:
    residual = model.costs.residual
    return {
        "reviewer": model.reviewer,
        "costs": {
            **asdict(model.costs.costs),
            "fitted": not math.isnan(residual),
            "n_reviews": model.costs.n_reviews,
            "residual": None if math.isnan(residual) else residual,
        },
        "noise": None if model.intervals is None else asdict(model.intervals),
        "simulated": simulated_settings(model, size, tolerance),
    }
