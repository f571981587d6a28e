"""The ablations' pipeline file: SHIC's Tables 3 to 6 in small, on rendered people, one file a seed."""

from collections.abc import Mapping
from dataclasses import dataclass

# Table 4: (key, name, weights that differ from the base's)
TERMS = (
    ("no-distance", "without L_dist", {"distance": 0.0}),
    ("no-cycle", "without L_cyc", {"cycle": 0.0}),
    ("no-equivariance", "without L_eq", {"equivariance": 0.0}),
    ("no-equivariance-cycle", "without L_eq and L_cyc", {"equivariance": 0.0, "cycle": 0.0}),
)


@dataclass(frozen=True)
class AblationSize:
    """How much is rendered and trained for one row.

    Attributes:
        images: training images of the base, and of all rows but those of Table 6.
        counts: training images of the rows of Table 6.
        n_val: held-out images.
        steps: of every training.
        crop_size: of the model's crops, pixels: small, so that a training stays under 90 s.
    """

    images: int = 500
    counts: tuple[int, ...] = (50, 200, 500, 2000)
    n_val: int = 100
    n_coarse: int = 1500
    n_eigenpairs: int = 256
    steps: int = 200
    crop_size: int = 64
    synthetic: int = 150


@dataclass(frozen=True)
class Row:
    """One row: which labels and settings its model is trained with; the first row of all is the base."""

    key: str
    table: str
    name: str
    images: int
    labels: str = "base"
    synthetic: bool = True
    loss: Mapping[str, float] | None = None


# name of a label set: (views, pooling)
LABELS = {
    "base": ("normals-72", "max"),
    "mean": ("normals-72", "mean"),
    "views-24": ("normals-24", "max"),
    "views-8": ("normals-8", "max"),
    "shaded": ("shaded-72", "max"),
}
VIEWS = {
    "normals-72": 'style = "normals"',
    "shaded-72": 'style = "shaded"',
    "normals-24": 'style = "normals", rig = { n_azimuths = 8 }',
    "normals-8": 'style = "normals", rig = { n_azimuths = 8, elevations = [10.0] }',
}
NO_PSEUDO = {"pseudo": 0.0, "distance": 0.0}  # the other terms still see the photographs
NO_REAL = NO_PSEUDO | {"cycle": 0.0, "equivariance": 0.0, "foreground": 0.0}


def ablation_rows(size: AblationSize) -> list[Row]:
    """Every row, the base first."""
    n = size.images
    rows = [
        Row("base", "base", "everything: 72 normal maps, max pooling, all five losses", n),
        Row("mean", "Table 3", "mean pooling over views", n, "mean"),
        Row("views-24", "Table 3", "24 views", n, "views-24"),
        Row("views-8", "Table 3", "8 views, one elevation", n, "views-8"),
        Row("no-synthetic", "Table 3", "no synthetic images", n, synthetic=False),
        Row(
            "no-pseudo",
            "Table 3",
            "no pseudo-labels (L_cyc, L_eq on photographs; synthetic images)",
            n,
            loss=NO_PSEUDO,
        ),
        Row("no-real", "Table 3", "no photographs: synthetic images only", n, loss=NO_REAL),
    ]
    rows += [Row(key, "Table 4", name, n, loss=loss) for key, name, loss in TERMS]
    rows.append(Row("shaded", "Table 5", "shaded views instead of normal maps", n, "shaded"))
    rows += [
        Row(f"images-{count}", "Table 6", f"{count} training images", count)
        for count in size.counts
        if count != n
    ]
    return rows


def ablation_text(size: AblationSize, seed: int, azimuths: list[list[float]]) -> str:
    """The pipeline file of one seed."""
    rows = ablation_rows(size)
    parts = [_HEAD.format(size=size, seed=seed)]
    for count in sorted({row.images for row in rows}):
        n_val = size.n_val if count == size.images else 1
        parts.append(_WORLD.format(count=count, n_val=n_val, seed=seed))
    parts += [_VIEWS.format(name=name, settings=settings) for name, settings in VIEWS.items()]
    parts.append(_SYNTHETIC.format(size=size, seed=seed, azimuths=azimuths))
    for row in rows:
        if row.labels != "base" or row.key == "base" or row.images != size.images:
            views, pooling = LABELS[row.labels]
            parts.append(_LABELS.format(row=row, views=views, pooling=pooling, seed=seed, azimuths=azimuths))
        parts.append(_train(row, rows[0], size, seed))
    models = ", ".join(f'"@train-{row.key}"' for row in rows)
    parts.append(_EVALUATE.format(size=size, seed=seed, azimuths=azimuths, models=models))
    return "".join(parts)


def labels_of(row: Row, base: Row) -> str:
    """The key of the row whose pseudo-labels this row's model is trained on."""
    return row.key if row.labels != base.labels or row.images != base.images else base.key


def _train(row: Row, base: Row, size: AblationSize, seed: int) -> str:
    loss = {"equivariance": 0.01} | dict(row.loss or {})
    return _TRAIN.format(
        row=row,
        labels=labels_of(row, base),
        synthetic='synthetic = "@synthesise"\n' if row.synthetic else "",
        loss=", ".join(f"{term} = {weight}" for term, weight in loss.items()),
        steps=size.steps,
        crop_size=size.crop_size,
        seed=seed,
    )


_HEAD = """\
# Written by `densecorr ablations`: seed {seed}.

[stages.template]
command = "template"
category = "person"
mesh = "body"
settings = {{ n_coarse = {size.n_coarse}, n_eigenpairs = {size.n_eigenpairs} }}
"""

_WORLD = """
[stages.world-{count}]
command = "world"
settings = {{ category = "person", n_train = {count}, n_val = {n_val}, seed = {seed} }}

[stages.ingest-{count}]
command = "ingest"
annotations = "@world-{count}/annotations.json"
images = "@world-{count}"
"""

_VIEWS = """
[stages.render-{name}]
command = "render"
template = "@template"
settings = {{ {settings} }}

[stages.features-{name}]
command = "features"
template = "@template"
views = "@render-{name}"
"""

_SYNTHETIC = """
[stages.synthesise]
command = "synthesise"
template = "@template"
category = "person"
images = {size.synthetic}
seed = {seed}
generator = {{ kind = "procedural", viewpoints = {{ azimuths = {azimuths} }} }}
"""

_LABELS = """
[stages.labels-{row.key}]
command = "pseudo-label"
dataset = "@ingest-{row.images}"
template = "@template"
features = "@features-{views}"
category = "person"
split = "train"
settings = {{ pooling = "{pooling}", azimuths = {azimuths}, points = 0, seed = {seed} }}
"""

_TRAIN = """
[stages.train-{row.key}]
command = "train"
dataset = "@ingest-{row.images}"
template = "@template"
labels = "@labels-{labels}"
category = "person"
split = "train"
{synthetic}settings = {{ steps = {steps}, seed = {seed}, model.crop_size = {crop_size}, loss = {{ {loss} }} }}
"""

_EVALUATE = """
[stages.evaluate]
command = "evaluate"
dataset = "@ingest-{size.images}"
template = "@template"
labels = "@labels-base"
features = "@features-normals-72"
models = [{models}]
category = "person"
split = "val"
image_only = false
seed = {seed}
zero_shot = {{ azimuths = {azimuths} }}
"""
