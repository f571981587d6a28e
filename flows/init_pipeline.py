"""The text of the pipeline files that `densecorr init` writes: what all share, and the stages of each preset."""

from typing import Literal

Preset = Literal["shic-cpu", "shic-paper"]

HEAD = """\
# Dense correspondences for {names}, from images and a mesh of each.
#   densecorr run pipeline.toml --dry-run    what would run, what is there already, the disk it needs
#   densecorr run pipeline.toml              run it; after any stop or change, run it again: what is done is kept
# `densecorr COMMAND --help` lists all settings of a stage. Relative paths start at this file's folder.

[run]
max_workers = 2                      # stages at once

[templates]                          # a mesh file, or a shape densecorr brings: body, quadruped
{templates}

[stages.ingest]                      # check every row and keep it as tables; the images stay where they are
command = "ingest"
annotations = {annotations}
images = {images}                    # where the file names in it start
source = {source}                    # ids become {source_name}/<original id>
settings.categories = {categories}
# settings.on_error = "skip"         # set bad rows aside instead of stopping at the first
# settings.missing_silhouettes = "grabcut"  # cut objects that only have a box out by their colours

# Every stage below runs once for each template.

[stages.template]                    # check the mesh; eigenbasis, symmetry, geodesics
command = "template"
# settings.repair = true             # mend a mesh that does not pass; vertex ids can change
# settings.all_pairs = true          # keep all distances on disk: quicker scoring, 2 bytes a pair of vertices

"""

STAGES: dict[Preset, str] = {
    "shic-cpu": """\
[stages.render]                      # 72 views of the template
command = "render"
template = "@template"

[stages.features]                    # what an extractor says of the views
command = "features"
template = "@template"
views = "@render"

[stages.pseudo-label]                # match silhouettes to the template, without any annotation
command = "pseudo-label"
dataset = "@ingest"
template = "@template"
features = "@features"
settings.pooling = "auto"            # or max, mean, best
# settings.azimuths = [[-90, 90]]    # only views from these sides, degrees; 0 is the front
# split = "train"

[stages.synthesise]                  # images of the template with exact labels
command = "synthesise"
template = "@template"
generator = {{ kind = "procedural", viewpoints = {{ azimuths = [[-180, 180]] }} }}  # better: as the photographs

[stages.train]                       # a network on those labels and on the synthetic images
command = "train"
dataset = "@ingest"
template = "@template"
labels = "@pseudo-label"
synthetic = "@synthesise"
settings.steps = 600
# settings.device = "cuda"
# split = "train"

[stages.evaluate]                    # the report; with annotations in the data set also scores
command = "evaluate"
dataset = "@ingest"
template = "@template"
labels = "@pseudo-label"
features = "@features"
models = ["@train"]
# split = "val"
""",
    "shic-paper": """\
[stages.render]                      # 72 views of the template
command = "render"
template = "@template"
settings.rig.size = 840              # multiples of DINOv2's 14 pixels here and below; 448 is four times quicker

[stages.features]                    # what DINOv2 says of the views
command = "features"
template = "@template"
views = "@render"
settings.kind = "dinov2"             # facebook/dinov2-base, Apache-2.0; `densecorr models fetch` gets it beforehand
run.device = "cuda"

[stages.pseudo-label]                # match silhouettes to the template, without any annotation
command = "pseudo-label"
dataset = "@ingest"
template = "@template"
features = "@features"
settings.crop_size = 840
run.device = "cuda"
# split = "train"

[stages.synthesise]                  # images of the template with exact labels
command = "synthesise"
template = "@template"
images = 1000
generator = {{ kind = "procedural", size = 480 }}  # kind = "controlnet": photo-like ones, by Stable Diffusion

[stages.encode]                      # the frozen encoder's features of augmented crops, kept for the training
command = "encode"
dataset = "@ingest"
settings.features.kind = "dinov2"
run.device = "cuda"
# split = "train"

[stages.encode-synthetic]
command = "encode"
dataset = "@synthesise"
settings.features.kind = "dinov2"
run.device = "cuda"

[stages.train]                       # a decoder on those features
command = "train"
dataset = "@ingest"
template = "@template"
labels = "@pseudo-label"
synthetic = "@synthesise"
encoded = "@encode"
encoded_synthetic = "@encode-synthetic"
settings.preset = "shic-paper"       # 40 epochs of Adam, the paper's losses; other keys override it
settings.device = "cuda"
# gpus = 2                           # in place of device: several GPUs share each batch
# split = "train"

[stages.evaluate]                    # the report; with annotations in the data set also scores
command = "evaluate"
dataset = "@ingest"
template = "@template"
labels = "@pseudo-label"
features = "@features"
models = ["@train"]
zero_shot.crop_size = 840
run.device = "cuda"
# split = "val"
""",
}
