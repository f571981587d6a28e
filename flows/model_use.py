"""The pretrained models of a stage: their licences before it runs, the record of them after it."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densecorr.hub import ModelFacts, admit, is_local, named_models
from densecorr.hub_licences import in_words, needs_consent, record_model

from .session import said_if_slow, say

if TYPE_CHECKING:
    from storage.artifacts import Store


def folder_digests(command: Any, store: "Store") -> dict[str, str]:
    """The digest of the content of every local folder that a command names as a model, by its reference."""
    return {
        reference: _content(reference, store) for reference in named_models(command) if is_local(reference)
    }


def admit_models(references: Sequence[str]) -> tuple[ModelFacts, ...]:
    """Let models in whose licences allow it or were accepted; what else binds the user is said once.

    Raises:
        LicenceError: a licence has to be accepted first.
    """
    admitted = admit(references)
    for facts in admitted:
        if needs_consent(facts) or facts.commercial == "restricted":
            accepted = ", accepted" if needs_consent(facts) else ""
            _say_once(
                f"{facts.id}: {facts.licence}, {in_words(facts.commercial)}{accepted} ({facts.licence_url})"
            )
    return admitted


def record_models(out: Path, admitted: Sequence[ModelFacts], store: "Store") -> None:
    """Write `models.json` into an artifact's folder; nothing for a stage without models."""
    from storage.models import write_models

    if admitted:
        write_models(
            out,
            [
                record_model(facts, _content(facts.id, store) if is_local(facts.id) else None)
                for facts in admitted
            ],
        )


def _content(folder: str, store: "Store") -> str:
    with said_if_slow(f"reading {folder} for its fingerprint, once"):
        return store.digest_source(folder)


@cache
def _say_once(text: str) -> None:
    say(text)
