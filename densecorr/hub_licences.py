"""Licences of models: what is known, what has to be accepted first, and the record of it."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from .errors import LicenceError
from .hub_cache import cached_folder, resolved_revision
from .hub_catalog import Commercial, ModelFacts, facts_of, is_local

logger = logging.getLogger(__name__)

ACCEPT_VARIABLE = "DENSECORR_ACCEPT_LICENCE"
_FREE = ("apache-2.0", "mit", "isc", "zlib", "unlicense", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-4.0")
_NEEDS_CONSENT = ("no", "unknown")
_IN_WORDS = {
    "yes": "commercial use allowed",
    "restricted": "commercial use with restrictions",
    "no": "no commercial use",
    "unknown": "commercial use unknown",
}


@dataclass(frozen=True)
class ModelRecord:
    """What an artifact keeps of one model that it was made with.

    Attributes:
        id: `owner/name`, or the path of a local folder.
        revision: the one asked for; "" for a local folder.
        commit: what the revision stood for; None for a local folder, or where nothing was loaded from the cache.
        content: the digest "sha256:..." of a local folder, else None.
        licence: its name.
        licence_url: where it can be read.
        commercial: as in `ModelFacts`.
        accepted: whether the licence had to be accepted, and was.
        accepted_at: when, UTC in ISO 8601.
    """

    id: str
    revision: str
    commit: str | None
    content: str | None
    licence: str
    licence_url: str
    commercial: Commercial
    accepted: bool = False
    accepted_at: str | None = None


def licence_facts(reference: str) -> ModelFacts:
    """The catalogue's facts of a model; of one that is not listed, what its model card says if it is cached."""
    facts = facts_of(reference)
    if facts.licence != "unknown":
        return facts
    page = f"https://huggingface.co/{facts.id}"
    card = _card_licence(reference)
    if card is None:
        return replace(facts, licence_url=page)
    name, url = card
    return replace(facts, licence=name, licence_url=url or page, commercial=commercial_use(name))


def commercial_use(licence: str) -> Commercial:
    """What the name of a licence, as model cards write it, says of commercial use."""
    name = licence.lower()
    if "-nc" in name or "noncommercial" in name or "non-commercial" in name:
        return "no"
    if "rail" in name:
        return "restricted"
    return "yes" if name in _FREE or name.startswith("bsd") else "unknown"


def in_words(commercial: Commercial) -> str:
    """Commercial use in a few words."""
    return _IN_WORDS[commercial]


def is_accepted() -> bool:
    """Whether the user accepts licences: `--accept-licence`, or DENSECORR_ACCEPT_LICENCE=1."""
    return os.environ.get(ACCEPT_VARIABLE, "").upper() in ("1", "ON", "YES", "TRUE")


def admit(references: Sequence[str]) -> tuple[ModelFacts, ...]:
    """The licences of models that are about to be used; local folders are the user's own business.

    Raises:
        LicenceError: one forbids commercial use, or is not known, and the user has not accepted it.
        SettingsError: a reference that is neither a folder nor owner/name.
    """
    admitted = tuple(licence_facts(reference) for reference in references)
    refused = [facts for facts in admitted if needs_consent(facts)]
    if refused and not is_accepted():
        models = "; ".join(
            f"{facts.id}: {facts.licence}, {in_words(facts.commercial)}, see {facts.licence_url}"
            for facts in refused
        )
        unlisted = next((facts for facts in refused if facts.licence == "unknown"), None)
        look = f" `densecorr models fetch {unlisted.reference}` looks at its model card." if unlisted else ""
        raise LicenceError(
            f"consent to the licence ({models})",
            "none",
            f"Read it; then add --accept-licence, or set {ACCEPT_VARIABLE}=1 for a scheduled run.{look}",
        )
    return admitted


def needs_consent(facts: ModelFacts) -> bool:
    """Whether the user has to accept the licence first; not for local folders."""
    return facts.commercial in _NEEDS_CONSENT and not is_local(facts.id)


def record_model(facts: ModelFacts, content: str | None) -> ModelRecord:
    """The record of a model that was admitted and used now; `content` is the digest of a local folder."""
    accepted = needs_consent(facts)
    return ModelRecord(
        facts.id,
        facts.revision,
        resolved_revision(facts.reference),
        content,
        facts.licence,
        facts.licence_url,
        facts.commercial,
        accepted,
        datetime.now(UTC).isoformat(timespec="seconds") if accepted else None,
    )


def _card_licence(reference: str) -> tuple[str, str | None] | None:
    """The licence's name and address in the cached model card; None without a card, or without a licence."""
    folder = cached_folder(reference)
    if folder is None or not (folder / "README.md").is_file():
        return None
    import yaml
    from huggingface_hub import ModelCard

    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
        card: Any = ModelCard(text, ignore_metadata_errors=True).data
    except (ValueError, yaml.YAMLError) as error:  # not UTF-8, not YAML: the licence stays unknown
        logger.info("The model card of %s cannot be read: %s", reference, error)
        return None
    licence = card.license[0] if isinstance(card.license, list) else card.license
    name = card.license_name if licence in (None, "other") else licence
    return (str(name), card.license_link) if name else None
