"""Models from a hub: naming them in settings, finding their files, loading them with errors a person can act on.

A model is named `owner/name`, `owner/name@revision` or by a local folder. What the cache holds whole is used as it
is, without a look at the network; the rest is downloaded through `huggingface_hub` and loaded from the folder it
lies in: the libraries above never touch the network themselves. `models fetch --again` takes a newer `main`.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from .errors import DependencyError
from .hub_cache import (
    IGNORED_FILES,
    cached_bytes,
    check_files,
    is_whole,
    missing_files,
    needed_files,
    resolved_revision,
)
from .hub_catalog import CATALOG, ModelFacts, facts_of, is_local, split_reference
from .hub_errors import damaged_model, translate_error
from .hub_licences import admit

__all__ = [
    "CATALOG", "ModelFacts", "ModelMark", "ModelRef", "admit", "cached_bytes", "facts_of", "fetch", "is_local",
    "is_offline", "load_pretrained", "model_folder", "named_models", "pinned_reference", "resolved_revision",
    "split_reference", "with_models",
]  # fmt: skip

_CARD = ("README.md", "LICENSE*", "model_index.json")  # who may use it, and what kind of model it is


@dataclass(frozen=True)
class ModelMark:
    """Marks the type of a settings field whose text names a model."""


ModelRef = Annotated[str, ModelMark()]


def named_models(value: Any) -> tuple[str, ...]:
    """The references in all `ModelRef` fields of a settings object and of those inside it; each once, in order."""
    found: dict[str, None] = {}
    for _, inside, marked in _marked_fields(value):
        if marked:
            found |= dict.fromkeys(text for text in _texts(inside) if text)
        else:
            for item in inside if isinstance(inside, list | tuple) else (inside,):
                found |= dict.fromkeys(named_models(item))
    return tuple(found)


def with_models(value: Any, change: Callable[[str], str]) -> Any:
    """The same settings with every reference that `named_models` finds changed."""
    changed = {}
    for name, inside, marked in _marked_fields(value):
        if isinstance(inside, list | tuple):
            new = type(inside)(_changed(item, change, marked) for item in inside)
        else:
            new = _changed(inside, change, marked)
        if new != inside:
            changed[name] = new
    return replace(value, **changed) if changed else value


def pinned_reference(reference: str) -> str:
    """The reference with the commit that the cache holds for it; a local folder, and what is not cached, as it is."""
    commit = resolved_revision(reference)
    return reference if commit is None else f"{split_reference(reference)[0]}@{commit}"


def _changed(item: Any, change: Callable[[str], str], marked: bool) -> Any:
    if marked:
        return change(item) if item else item
    return with_models(item, change)


def _marked_fields(value: Any) -> Iterator[tuple[str, Any, bool]]:
    """Name and content of each field of a settings object, and whether it names models; none of other things."""
    if is_dataclass(value) and not isinstance(value, type):
        hints = get_type_hints(type(value), include_extras=True)
        for f in fields(value):
            inside = getattr(value, f.name)
            marked = any(isinstance(mark, ModelMark) for mark in _marks(hints[f.name]))
            yield f.name, inside, marked and not is_dataclass(inside)


def _texts(inside: Any) -> tuple[str, ...]:
    if inside is None:
        return ()
    return (inside,) if isinstance(inside, str) else tuple(inside)


def _marks(hint: Any) -> list[Any]:
    """The annotations of a type, also of the members of an optional one or of a tuple."""
    marks = list(getattr(hint, "__metadata__", ()))
    for part in getattr(hint, "__args__", ()):
        marks += _marks(part)
    return marks


def is_offline() -> bool:
    """Whether the network must not be touched: `--offline`, or the variables by which it sets that."""
    named = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.upper() in ("1", "ON", "YES", "TRUE") for value in named)


def model_folder(reference: str, files: Sequence[str] = (), *, offline: bool | None = None) -> Path:
    """The local folder with a model's files, downloaded if they are not cached.

    Args:
        reference: as in the module's docstring.
        files: patterns of the files that are needed; those of the catalogue, else all weights and configurations.
        offline: never touch the network; `is_offline()` if not given.

    Raises:
        DependencyError: a missing model, a gated one, no network, or files that are not cached; each with its remedy.
        SettingsError: a reference that is neither a folder nor owner/name.
    """
    if is_local(reference):
        return Path(reference).expanduser()
    patterns = tuple(files) or needed_files(reference)
    offline = is_offline() if offline is None else offline
    if offline or is_whole(reference, patterns):
        return _snapshot(reference, patterns, offline=True)
    return _snapshot(reference, (*patterns, *_CARD))


def fetch(reference: str, *, again: bool = False, extra: Sequence[str] = ()) -> Path:
    """Download a model's files into the cache: what is missing, or with `again` all of it anew.

    `extra` are patterns of files besides those that are always loaded, such as a safety checker's. The model card of
    one that is not in the catalogue comes first, so that its licence is known before its weights are fetched.

    Raises:
        LicenceError: its licence has to be accepted first.
        DependencyError: as `model_folder`.
    """
    if is_local(reference):
        return Path(reference).expanduser()
    if is_offline():
        if again:
            raise DependencyError("a network", "--offline with --again", "Leave one of them out.")
        return model_folder(reference, (*needed_files(reference), *extra))
    if facts_of(reference).licence == "unknown":
        _snapshot(reference, _CARD)
    admit([reference])
    return _snapshot(reference, (*needed_files(reference), *extra, *_CARD), again=again)


def _snapshot(reference: str, patterns: Sequence[str], *, offline: bool = False, again: bool = False) -> Path:
    """What `huggingface_hub.snapshot_download` gives, or the error that says what to do."""
    from huggingface_hub import snapshot_download

    name, revision = split_reference(reference)
    try:
        found = snapshot_download(
            name,
            revision=revision,
            allow_patterns=list(patterns),
            ignore_patterns=list(IGNORED_FILES),
            local_files_only=offline,
            force_download=again,
        )
    except Exception as error:  # translated one by one; what is no error of a hub goes on as it is
        meant = translate_error(error, facts_of(reference), offline)
        if meant is error:
            raise
        raise meant from error
    return Path(found)


def load_pretrained(kind: Any, reference: str, subfolder: str = "", **options: Any) -> Any:
    """`kind.from_pretrained` on the model's local files, safetensors only.

    Args:
        kind: a class of transformers or diffusers.
        reference: the model.
        subfolder: part of the repository, such as `unet`.
        options: passed on, such as `torch_dtype`.

    Raises:
        DependencyError: as `model_folder`, or files that are damaged or do not fit the class.
    """
    from safetensors import SafetensorError

    is_network = _is_network(kind)
    files = ()
    if subfolder:
        endings = ("*.json", "*.safetensors") if is_network else ("*.json", "*.txt")
        files = tuple(f"{subfolder}/{ending}" for ending in endings)
        options["subfolder"] = subfolder
    if is_network:
        options["use_safetensors"] = True
    folder = model_folder(reference, files)
    missing = missing_files(reference, files)
    if missing:  # a tokenizer would be made from nothing
        raise damaged_model(reference, folder / subfolder, None, missing)
    try:
        with _quiet_libraries():
            return kind.from_pretrained(str(folder), local_files_only=True, **options)
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "mismatch" not in str(error):
            raise  # such as a device that is out of memory
        raise damaged_model(reference, folder / subfolder, error, check_files(reference, files)) from error


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """No bars and notes of the libraries while a model is loaded: what matters is raised."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    levels = [library.get_verbosity() for library in libraries]
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, level in zip(libraries, levels, strict=True):
            library.set_verbosity(level)
            library.enable_progress_bar()


def _is_network(kind: Any) -> bool:
    """Whether a class has weights: a torch module, or one of transformers' AutoModel classes."""
    from torch import nn

    return issubclass(kind, nn.Module) or hasattr(kind, "_model_mapping")
