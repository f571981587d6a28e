"""Plain text of what the commands of the store return: aligned columns, no colours."""

from collections.abc import Sequence

from densecorr.hub_licences import ModelRecord, in_words

from .collect import GcReport
from .commands import ArtifactDetails, ArtifactRow, VerifyResult
from .lineage import LineageNode

_SHORT_ID = 12
_SUMMARY_WIDTH = 100
_FILES_SHOWN = 20
_STRICTEST = ("no", "unknown", "restricted", "yes")


def format_rows(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Text columns under headers, two spaces apart; `right` lists the columns to align on the right."""
    table = [list(headers), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(headers))]
    lines = []
    for row in table:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def format_bytes(n_bytes: int) -> str:
    """A size in the unit that suits it: 812 B, 1.4 MB (powers of 1000)."""
    size = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def format_settings(settings: object, width: int = _SUMMARY_WIDTH) -> str:
    """Settings on one line, nested keys with dots, cut at `width` characters."""
    text = ", ".join(f"{key}={value}" if key else str(value) for key, value in _flat("", settings))
    return text if len(text) <= width else text[: width - 3] + "..."


def format_artifacts(rows: Sequence[ArtifactRow]) -> str:
    """The text of `store ls`."""
    if not rows:
        return "No artifacts."
    cells = [
        [
            row.artifact_id[:_SHORT_ID],
            row.stage,
            _minute(row.created),
            str(row.n_files),
            format_bytes(row.size),
            f"{row.wall_time_s:.1f} s",
            ", ".join(row.tags),
        ]
        for row in rows
    ]
    return format_rows(
        ("id", "stage", "created (UTC)", "files", "size", "took", "tags"), cells, right=(3, 4, 5)
    )


def format_details(details: ArtifactDetails) -> str:
    """The text of `store show`."""
    manifest = details.manifest
    inputs = [
        f"{role}: {value if isinstance(value, str) else ', '.join(value)}"
        for role, value in sorted(manifest.recipe.inputs.items())
    ]
    facts = [
        ("id", manifest.artifact_id),
        ("stage", f"{manifest.stage}, version {manifest.recipe.version}"),
        ("tags", ", ".join(details.tags) or "none"),
        ("location", details.location),
        ("created", manifest.created),
        ("took", f"{manifest.wall_time_s:.1f} s"),
        ("machine", f"{manifest.machine}; {manifest.device}; {manifest.threads} threads"),
        ("versions", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        *[("input", text) for text in inputs],
        *[("source", f"{path} ({digest[:15]}...)") for digest, path in sorted(manifest.sources.items())],
        *_model_facts(details.lineage),
        *[("setting", f"{key} = {value}") for key, value in _flat("", manifest.recipe.settings)],
    ]
    width = max(len(name) for name, _ in facts)
    files = [[entry.path, format_bytes(entry.size), entry.sha256[:_SHORT_ID]] for entry in manifest.files]
    more = [f"... and {len(files) - _FILES_SHOWN} more"] if len(files) > _FILES_SHOWN else []
    total = f"{_count(len(files), 'file')}, {format_bytes(manifest.size)}"
    listing = format_rows(("file", "size", "sha256"), files[:_FILES_SHOWN], right=(1,))
    return "\n".join([*(f"{name:<{width}}  {text}" for name, text in facts), "", listing, *more, total])


def _model_facts(root: LineageNode | None) -> list[tuple[str, str]]:
    """A line for each pretrained model of an artifact and of those it was made from."""
    if root is None:
        return [("model", "not known: an input is damaged, see `densecorr store verify`")]
    return [
        ("model", _model_text(model) + ("" if node is root else f"; by {node.stage} {node.key[:_SHORT_ID]}"))
        for node in root.walk()
        for model in node.models
    ]


def _model_text(model: ModelRecord) -> str:
    version = (model.commit or model.content or model.revision).removeprefix("sha256:")[:_SHORT_ID]
    consent = f", accepted {model.accepted_at[:10]}" if model.accepted_at else ""
    return f"{model.id} {version}  {model.licence} ({in_words(model.commercial)}){consent}"


def format_binding(root: LineageNode) -> str:
    """One line with the licences of all models in an artifact's lineage, the strictest first; "" without any."""
    models: dict[tuple[str, str], ModelRecord] = {}
    for node in root.walk():
        for model in node.models:
            models.setdefault((model.id, model.licence), model)
    if not models:
        return ""
    texts = [
        f"{model.licence} ({in_words(model.commercial)}) through {model.id}"
        + (f", accepted {model.accepted_at[:10]}" if model.accepted_at else "")
        for model in sorted(models.values(), key=lambda model: _STRICTEST.index(model.commercial))
    ]
    missing = any(node.missing for node in root.walk())
    unseen = "; those of the inputs that are not in this store are not known" if missing else ""
    return f"licences that bind this artifact: {'; '.join(texts)}{unseen}"


def format_lineage(root: LineageNode) -> str:
    """The text of `store lineage`: a tree; a subtree that was printed before is only named again.

    The last line says which licences of models bind the artifact, if it was made with any.
    """
    lines: list[str] = []
    _lineage_lines(root, "", "", lines, set())
    binding = format_binding(root)
    return "\n".join([*lines, binding] if binding else lines)


def _lineage_lines(node: LineageNode, first: str, rest: str, lines: list[str], printed: set[str]) -> None:
    role = f"{node.role}: " if node.role else ""
    again = node.key in printed and bool(node.inputs)
    lines.append(f"{first}{role}{_node_text(node)}{'  (inputs above)' if again else ''}")
    printed.add(node.key)
    if again:
        return
    lines += [f"{rest}{'│' if node.inputs else ' '}   with {_model_text(model)}" for model in node.models]
    for index, child in enumerate(node.inputs):
        last = index == len(node.inputs) - 1
        _lineage_lines(
            child, rest + ("└── " if last else "├── "), rest + ("    " if last else "│   "), lines, printed
        )


def _node_text(node: LineageNode) -> str:
    if node.is_source:
        return f"{node.source or 'source'} ({node.key[:15]}...)"
    if node.missing:
        return f"{node.key[:_SHORT_ID]} (not in this store)"
    settings = format_settings(node.settings, 80)
    return f"{node.stage} {node.key[:_SHORT_ID]}  {_minute(node.created or '')}" + (
        f"  [{settings}]" if settings else ""
    )


def format_verify(result: VerifyResult) -> str:
    """The text of `store verify`."""
    artifacts = _count(result.n_artifacts, "artifact")
    if not result.problems:
        return f"{artifacts} checked, all whole."
    rows = [[problem.artifact_id[:_SHORT_ID], problem.file, problem.what] for problem in result.problems]
    table = format_rows(("id", "file", "problem"), rows)
    return f"{table}\n{artifacts} checked, {_count(len(rows), 'problem')}."


def format_gc(report: GcReport) -> str:
    """The text of `store gc`."""
    if not report.items:
        return "Nothing to free: every artifact is tagged or an input of a tagged one."
    done = "freed" if report.deleted else "would free"
    rows = [
        [done if item.free else "kept", item.kind, format_bytes(item.n_bytes), item.path, item.why]
        for item in report.items
    ]
    table = format_rows(("", "kind", "size", "path", "why"), rows, right=(2,))
    what = f"{format_bytes(report.freed_bytes)} in {_count(sum(item.free for item in report.items), 'place')}"
    return (
        f"{table}\nFreed {what}." if report.deleted else f"{table}\nWould free {what}; nothing was deleted."
    )


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _flat(prefix: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        rows = []
        for key in value:
            rows.extend(_flat(f"{prefix}.{key}" if prefix else str(key), value[key]))
        return rows
    if value is None and not prefix:
        return []
    return [(prefix, str(value))]


def _minute(created: str) -> str:
    return created[:16].replace("T", " ")
