"""What is known of the models that densecorr names: licence, commercial use, size. Facts of the hub's pages.

A model that is not listed can be used too; its licence is then unknown, and so has to be accepted.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .errors import SettingsError

Commercial = Literal["yes", "restricted", "no", "unknown"]

NETWORK_FILES = ("*.json", "*.safetensors", "*.txt")
DIFFUSION_FILES = (
    *(f"{part}/{end}" for part in ("unet", "vae", "text_encoder") for end in ("*.json", "*.safetensors")),
    *("tokenizer/*.json", "tokenizer/*.txt", "scheduler/*.json"),
)
SAFETY_CHECKER_FILES = ("safety_checker/*.json", "safety_checker/*.safetensors", "feature_extractor/*.json")
SAFETY_CHECKER_MB = 1216  # fetched only where it is asked for


@dataclass(frozen=True)
class ModelFacts:
    """One model.

    Attributes:
        id: `owner/name`, or the path of a local folder.
        purpose: in a few words.
        licence: its name.
        licence_url: where it can be read.
        commercial: 'yes', 'restricted' (OpenRAIL: allowed, with use restrictions), 'no', or 'unknown'.
        size_mb: of the files that densecorr loads, about.
        gated: whether the owner asks for consent first.
        files: patterns of the files that densecorr loads.
        revision: the one asked for.
    """

    id: str
    purpose: str = ""
    licence: str = "unknown"
    licence_url: str = ""
    commercial: Commercial = "unknown"
    size_mb: int = 0
    gated: bool = False
    files: tuple[str, ...] = NETWORK_FILES
    revision: str = "main"

    @property
    def reference(self) -> str:
        """`id@revision`, or the folder."""
        return self.id if self.revision == "" else f"{self.id}@{self.revision}"


def _apache(model: str, purpose: str, size_mb: int) -> ModelFacts:
    url = "https://www.apache.org/licenses/LICENSE-2.0"
    return ModelFacts(model, purpose, "Apache-2.0", url, "yes", size_mb)


def _openrail(model: str, purpose: str, size_mb: int, files: tuple[str, ...] = NETWORK_FILES) -> ModelFacts:
    url = "https://huggingface.co/spaces/CompVis/stable-diffusion-license"
    return ModelFacts(model, purpose, "CreativeML OpenRAIL-M", url, "restricted", size_mb, files=files)


def _dinov3(size: str, size_mb: int) -> ModelFacts:
    model = f"facebook/dinov3-{size}-pretrain-lvd1689m"
    url = "https://ai.meta.com/resources/models-and-libraries/dinov3-license/"
    return ModelFacts(model, "image features", "DINOv3 License", url, "restricted", size_mb, gated=True)


def _depth_anything(size: str, size_mb: int) -> ModelFacts:
    model = f"depth-anything/Depth-Anything-V2-{size}-hf"
    url = "https://creativecommons.org/licenses/by-nc/4.0/"
    return ModelFacts(model, "depth of images", "CC-BY-NC-4.0", url, "no", size_mb)


CATALOG: tuple[ModelFacts, ...] = (
    _apache("facebook/dinov2-small", "image features", 88),
    _apache("facebook/dinov2-base", "image features", 346),
    _apache("facebook/dinov2-large", "image features", 1217),
    _apache("facebook/dinov2-with-registers-small", "image features", 88),
    _apache("facebook/dinov2-with-registers-base", "image features", 346),
    _apache("facebook/dinov2-with-registers-large", "image features", 1217),
    _dinov3("vits16", 86),
    _dinov3("vitb16", 343),
    _dinov3("vitl16", 1213),
    _openrail(
        "stable-diffusion-v1-5/stable-diffusion-v1-5", "image features, synthesis", 4265, DIFFUSION_FILES
    ),
    _openrail("lllyasviel/control_v11f1p_sd15_depth", "synthesis from depth", 1445),
    _apache("depth-anything/Depth-Anything-V2-Small-hf", "depth of images", 99),
    _depth_anything("Base", 390),
    _depth_anything("Large", 1341),
    _apache("IDEA-Research/grounding-dino-base", "boxes from a category's name", 933),
    _apache("facebook/sam-vit-base", "silhouettes from boxes", 375),
)


def split_reference(reference: str) -> tuple[str, str]:
    """The id and the revision ("main" if none is named) of a reference to a hub."""
    name, _, revision = reference.partition("@")
    return name, revision or "main"


def is_local(reference: str) -> bool:
    """Whether the reference is a folder of this machine."""
    return Path(reference).expanduser().is_dir()


def facts_of(reference: str) -> ModelFacts:
    """The facts of a model by reference; of one that is not listed, that they are unknown."""
    if is_local(reference):
        return ModelFacts(reference, licence="of a local folder: yours to know", revision="")
    name, revision = split_reference(reference)
    known = next((facts for facts in CATALOG if facts.id == name), ModelFacts(name))
    return replace(known, revision=revision)


def no_reference(reference: str) -> SettingsError:
    """The error for a text that names no model: a path where no folder is, a name the hub would not allow."""
    return SettingsError(
        "a model as owner/name, owner/name@revision or a folder that exists",
        f"'{reference}'",
        "Correct the name, or the path.",
    )
