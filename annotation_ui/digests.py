"""Digests of what FiftyOne shows, so that an export writes only what changed."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from densecorr.records import ImageRecord, InstanceRecord, LabelRecord

from .fields import Overlay

_LOOK = 1  # raised when samples of the same content would look different


def content_digest(
    look: str,
    path: str,
    image: ImageRecord,
    instances: Sequence[InstanceRecord],
    sets: Mapping[str, Mapping[str, Sequence[LabelRecord]]],
) -> str:
    """A digest of everything that one sample shows."""
    digest = hashlib.sha256(f"{look}\0{path}\0{image!r}\0{instances!r}".encode())
    for field, labels in sets.items():
        for instance in instances:
            for label in labels.get(instance.instance_id, ()):
                digest.update(field.encode())
                for name, value in vars(label).items():
                    digest.update(name.encode())
                    digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return digest.hexdigest()


def digest_of_look(
    templates: Mapping[str, UInt8[np.ndarray, "V 3"]], overlays: Sequence[Overlay], fields: Sequence[str]
) -> str:
    """A digest of the settings that every sample's looks depend on."""
    colors = {name: hashlib.sha256(one.tobytes()).hexdigest() for name, one in sorted(templates.items())}
    return f"{_LOOK}\0{colors}\0{sorted(overlays)}\0{sorted(fields)}"
