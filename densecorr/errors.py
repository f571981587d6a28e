"""The exception tree. Each error says what was expected, what came, and what to do.

DensecorrError
    MeshError             template geometry that cannot be used
    CameraError           intrinsics or pose outside our convention
    ImageError            an image file that cannot be read or used
    FeatureError          an extractor's output that cannot be matched (no patch grid, NaN)
    AnnotationError       a data-set file or one of its rows that cannot be used
    DatasetNotFoundError  files absent; the message names the folder and the way to get them
    EmptyInstanceError    nothing annotated to score
    SettingsError         a settings value or pipeline entry that nothing accepts
    DependencyError       an optional package, service or weight file is absent
    LicenceError          a model whose licence has to be accepted first
    ArtifactError         the store holds no such artifact, or a damaged one
    TrainingError         a run that cannot go on (no labels, a loss that is not finite)
"""


class DensecorrError(Exception):
    """Base of every error a user can act on; the command line prints it in one line and exits with 2."""

    def __init__(self, expected: str, received: str, remedy: str) -> None:
        """Keep all three parts in `args`, so that the error survives pickling between workers."""
        super().__init__(expected, received, remedy)

    def __str__(self) -> str:
        """One readable sentence."""
        expected, received, remedy = self.args
        return f"Expected {expected}; received {received}. {remedy}"


class MeshError(DensecorrError):
    """Template geometry that cannot be used."""


class CameraError(DensecorrError):
    """Intrinsics or pose outside our convention."""


class ImageError(DensecorrError):
    """An image file that cannot be read or used."""


class FeatureError(DensecorrError):
    """What an extractor says of an image cannot be used."""


class AnnotationError(DensecorrError):
    """A data-set file, or one of its rows, that cannot be used."""


class DatasetNotFoundError(DensecorrError):
    """Files of a data set are absent."""


class EmptyInstanceError(DensecorrError):
    """There is nothing annotated to score."""


class SettingsError(DensecorrError):
    """A settings value or a pipeline entry that nothing accepts."""


class DependencyError(DensecorrError):
    """An optional package, a service or a weight file is absent."""


class LicenceError(DensecorrError):
    """A model whose licence has to be accepted before it is used."""


class ArtifactError(DensecorrError):
    """The store holds no such artifact, or a damaged one."""


class TrainingError(DensecorrError):
    """A training run that cannot go on."""
