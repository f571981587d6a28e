"""From the tables of a pipeline file to one node for each run of a stage."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from densecorr.config import from_jsonable
from densecorr.errors import SettingsError
from densecorr.hub import with_models
from storage.recipe import is_artifact_id

from .registry import load_stage
from .stage import Stage, input_fields

STAGE_NAME = re.compile(r"[\w-]+")
CATEGORY = re.compile(r"[^\[\]/@]+")
REFERENCE = re.compile(r"@(?P<name>[\w-]+)(\[(?P<category>[^\[\]/@]+)\])?(?P<inside>/.+)?")


@dataclass(frozen=True)
class Node:
    """One run of one stage; `command` names what it needs as `@key` or `@key/inside`."""

    key: str  # "ingest", or "render[cow]" for one category's run
    verb: str  # the name its stage goes by in the registry
    stage: Stage
    command: Any
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One `[stages.<name>]` table with its command looked up."""

    name: str
    verb: str
    stage: Stage
    table: Mapping[str, Any]
    per_category: bool  # it runs once for each template


@dataclass(frozen=True)
class PipelineFile:
    """What the file says: category to mesh and settings in `templates`, name to stage in `entries`."""

    folder: Path
    templates: Mapping[str, Mapping[str, Any]]
    entries: Mapping[str, Entry]


def read_templates(data: Any, folder: Path) -> dict[str, dict[str, Any]]:
    """Category -> {"mesh": ..., and settings of the template stage}."""
    templates = {}
    for category, value in (data if isinstance(data, dict) else {"": data}).items():
        table = {"mesh": value} if isinstance(value, str) else value
        if not isinstance(table, dict) or not isinstance(table.get("mesh"), str):
            raise SettingsError(
                f'"cow.obj" or {{ mesh = "cow.obj", unit = "cm" }} at \'templates.{category}\'',
                repr(value),
                "Correct it.",
            )
        if CATEGORY.fullmatch(category) is None:
            raise SettingsError("a category without [ ] / @", f"'{category}'", "Rename it.")
        templates[category] = {**table, "mesh": _anchored(table["mesh"], folder)}
    return templates


def read_entry(name: str, table: Any, templates: Mapping[str, Any]) -> Entry:
    """Look up the command of one `[stages.<name>]` table.

    It runs once for each template if its command has a `category` that the table does not set.
    """
    if STAGE_NAME.fullmatch(name) is None:
        raise SettingsError("a stage name of letters, digits, - and _", f"'{name}'", "Rename it.")
    if not isinstance(table, dict) or not isinstance(table.get("command"), str):
        raise SettingsError(
            f"a command at 'stages.{name}.command'", "none", 'Add one, such as `command = "ingest"`.'
        )
    stage = load_stage(table["command"])
    rest = {key: value for key, value in table.items() if key != "command"}
    category = next((f for f in fields(stage.command) if f.name == "category"), None)
    if category is None or "category" in rest:
        return Entry(name, table["command"], stage, rest, per_category=False)
    if not templates and category.default is MISSING and category.default_factory is MISSING:
        raise SettingsError(
            f"a category for 'stages.{name}'",
            "neither `category` there nor a [templates] table",
            "Add [templates] with a line for each category.",
        )
    return Entry(name, table["command"], stage, rest, per_category=bool(templates))


def expand_stages(file: PipelineFile) -> list[Node]:
    """One node for each stage, or for each stage and category, in the order of the file."""
    nodes = []
    for entry in file.entries.values():
        if not entry.per_category:
            nodes.append(_node(file, entry, entry.name, entry.table.get("category")))
        else:
            nodes += [
                _node(file, entry, f"{entry.name}[{category}]", category) for category in file.templates
            ]
    return nodes


def _node(file: PipelineFile, entry: Entry, key: str, category: str | None) -> Node:
    path = f"stages.{entry.name}"
    data = dict(entry.table)
    hints = get_type_hints(entry.stage.command)
    if category is not None and "category" in hints:
        data["category"] = category
        if "mesh" in hints and "mesh" not in data and category in file.templates:
            data = _with_template(data, file.templates[category], hints, f"templates.{category}")
    needs: dict[str, None] = {}  # a set that keeps the order
    for name, mark in input_fields(entry.stage.command).items():
        given: list[Any] = data[name] if isinstance(data.get(name), list) else [data.get(name)]
        if not all(isinstance(text, str) for text in given):
            continue  # absent, or of a wrong type: from_jsonable says so
        found = []
        for text in given:
            if text.startswith("@"):
                found += _referenced(file, text, category, f"{path}.{name}")
            else:
                found.append(text if mark.kind == "artifact" else _anchored(text, file.folder))
        needs |= {text[1:].partition("/")[0]: None for text in found if text.startswith("@")}
        data[name] = _as_field(found, data[name], hints[name], f"{path}.{name}")
    command = from_jsonable(entry.stage.command, data, path)
    command = with_models(command, lambda model: _anchored(model, file.folder))  # a folder, where it is one
    return Node(key, entry.verb, entry.stage, command, tuple(needs))


def _referenced(file: PipelineFile, text: str, category: str | None, path: str) -> list[str]:
    """The nodes that one written reference stands for, as `@key` or `@key/inside`."""
    match = REFERENCE.fullmatch(text)
    if match is None:
        raise SettingsError(
            f"a reference such as @ingest or @render[cow] at '{path}'", f"'{text}'", "Correct it."
        )
    name, chosen, inside = match["name"], match["category"], match["inside"] or ""
    check_key(name, file.entries, f"'@{name}' at '{path}'")
    if not file.entries[name].per_category:
        if chosen is not None:
            raise SettingsError(
                f"'@{name}' at '{path}'", f"'{text}'", f"{name} does not run once for each category."
            )
        return [f"@{name}{inside}"]
    if chosen is not None:
        check_key(chosen, file.templates, f"'{text}' at '{path}'")
    elif category in file.templates:
        chosen = category
    return [f"@{name}[{one}]{inside}" for one in ([chosen] if chosen is not None else file.templates)]


def _as_field(found: list[str], given: Any, kind: Any, path: str) -> Any:
    """One text or a list of them, as the field's type asks."""
    if any(get_origin(part) is tuple for part in (kind, *get_args(kind))):
        return found
    if isinstance(given, list):
        return given  # from_jsonable refuses it and names the key
    if len(found) != 1:
        raise SettingsError(
            f"one artifact at '{path}'", f"those of {len(found)} categories", "Write @name[category]."
        )
    return found[0]


def _with_template(
    data: dict[str, Any], template: Mapping[str, Any], hints: Mapping[str, Any], path: str
) -> dict[str, Any]:
    """The template's mesh, and its other keys as settings, unless the stage's own table sets them."""
    settings_type = hints.get("settings")
    nested = [f.name for f in fields(settings_type)] if is_dataclass(settings_type) else []
    data = {**data, "mesh": template["mesh"]}
    for key, value in template.items():
        if key in nested:
            data["settings"] = {key: value, **data.get("settings", {})}
        elif key != "mesh":
            check_key(key, [*nested, *(set(hints) - {"settings", "category"})], f"'{path}.{key}'")
            data.setdefault(key, value)
    return data


def _anchored(text: str, folder: Path) -> str:
    """A path relative to the pipeline file as an absolute one; what is no file there stays as written."""
    if is_artifact_id(text.partition("/")[0]):
        return text
    path = folder / Path(text).expanduser()
    return str(path) if path.exists() else text


def check_key(key: str, valid: Iterable[str], received: str) -> None:
    """Raise a SettingsError that gives the nearest valid name, unless `key` is one."""
    names = list(valid)
    if key not in names:
        near = difflib.get_close_matches(key, names, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Valid: {', '.join(names) or 'none'}."
        raise SettingsError("a known name", received, hint)
