"""The demo's pipeline file: the same stages and settings a user would write."""

from dataclasses import dataclass

from densecorr.datasets.world_settings import WorldSettings

CATEGORIES = {"person": "body", "quadruped": "quadruped"}
CALIBRATION_SEED = 1000  # more than the data's: other images


@dataclass(frozen=True)
class DemoSize:
    """How much is rendered and trained."""

    n_train: int
    n_val: int
    n_coarse: int
    n_eigenpairs: int
    steps: int
    synthetic: int
    calibration: int


SIZES = {
    "small": DemoSize(
        n_train=48, n_val=12, n_coarse=300, n_eigenpairs=64, steps=40, synthetic=16, calibration=16
    ),
    "standard": DemoSize(
        n_train=400, n_val=80, n_coarse=1500, n_eigenpairs=256, steps=600, synthetic=150, calibration=100
    ),
    "full": DemoSize(
        n_train=800, n_val=120, n_coarse=1500, n_eigenpairs=256, steps=1200, synthetic=300, calibration=200
    ),
}

_CATEGORY = """
[stages.world-{category}]                # images with exact truth
command = "world"
settings = {{ category = "{category}", n_train = {size.n_train}, n_val = {size.n_val}, seed = {seed} }}

[stages.ingest-{category}]
command = "ingest"
annotations = "@world-{category}/annotations.json"
images = "@world-{category}"

[stages.template-{category}]
command = "template"
category = "{category}"
mesh = "{mesh}"
settings = {{ n_coarse = {size.n_coarse}, n_eigenpairs = {size.n_eigenpairs} }}

[stages.render-{category}]               # 72 views
command = "render"
template = "@template-{category}"

[stages.features-{category}]
command = "features"
template = "@template-{category}"
views = "@render-{category}"

[stages.world-calibration-{category}]    # other images with truth, to learn what a label's confidence means
command = "world"
settings = {{ category = "{category}", n_train = {size.calibration}, n_val = 1, seed = {calibration_seed} }}

[stages.ingest-calibration-{category}]
command = "ingest"
annotations = "@world-calibration-{category}/annotations.json"
images = "@world-calibration-{category}"
source = "calibration"

[stages.labels-calibration-{category}]
command = "pseudo-label"
dataset = "@ingest-calibration-{category}"
template = "@template-{category}"
features = "@features-{category}"
category = "{category}"
settings = {{ pooling = "auto", azimuths = {azimuths}, points = 0, seed = {seed} }}

[stages.calibrate-{category}]
command = "calibrate"
dataset = "@ingest-calibration-{category}"
labels = "@labels-calibration-{category}"
template = "@template-{category}"
category = "{category}"

[stages.labels-{category}]               # zero-shot, without truth; pooled as the calibration's labels
command = "pseudo-label"
dataset = "@ingest-{category}"
template = "@template-{category}"
features = "@features-{category}"
calibration = "@calibrate-{category}"
category = "{category}"
split = "train"
settings = {{ pooling = "auto", azimuths = {azimuths}, points = 0, seed = {seed} }}

[stages.synthesise-{category}]           # images of the template with exact labels
command = "synthesise"
template = "@template-{category}"
category = "{category}"
images = {size.synthetic}
seed = {seed}
generator = {{ kind = "procedural", viewpoints = {{ azimuths = {azimuths} }} }}

[stages.train-{category}]
command = "train"
dataset = "@ingest-{category}"
template = "@template-{category}"
labels = "@labels-{category}"
category = "{category}"
split = "train"
synthetic = "@synthesise-{category}"
settings = {{ steps = {size.steps}, seed = {seed} }}

[stages.train-truth-{category}]          # the upper bound: no labels named, so the annotations are used
command = "train"
dataset = "@ingest-{category}"
template = "@template-{category}"
category = "{category}"
split = "train"
synthetic = "@synthesise-{category}"
settings = {{ steps = {size.steps}, seed = {seed} }}

[stages.evaluate-{category}]
command = "evaluate"
dataset = "@ingest-{category}"
template = "@template-{category}"
labels = "@labels-{category}"
features = "@features-{category}"
models = ["@train-{category}", "@train-truth-{category}"]
category = "{category}"
split = "val"
seed = {seed}
zero_shot = {{ azimuths = {azimuths} }}
"""


def pipeline_text(size: DemoSize, seed: int) -> str:
    """The pipeline file of one demo run, both categories."""
    text = "# Written by `densecorr demo`; `densecorr run` accepts it too.\n"
    for category, mesh in CATEGORIES.items():
        look = getattr(WorldSettings(), category)
        azimuths = [[float(low), float(high)] for low, high in look.azimuths]
        text += _CATEGORY.format(
            category=category,
            mesh=mesh,
            size=size,
            seed=seed,
            calibration_seed=seed + CALIBRATION_SEED,
            azimuths=azimuths,
        )
    return text
