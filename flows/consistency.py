"""Do the artifacts that a stage is given belong together? What each was made from says so."""

from densecorr.errors import SettingsError

from .stage import StageInputs


def check_made_from(inputs: StageInputs, name: str, role: str, of: str) -> None:
    """Raise a SettingsError if the input `name` was made from another artifact than the input `of`.

    Args:
        inputs: of the stage.
        name: the input to look at, one artifact; nothing is checked if it is not set, or was not made from a `role`.
        role: the name under which its own stage took that artifact.
        of: the input of this stage that it should have been.
    """
    if not inputs.ids(name):
        return
    used = made_from(inputs, name, role)
    if used is not None and used != inputs.id(of):
        raise SettingsError(
            f"{name} made from the {of} named here, {inputs.id(of)[:12]}",
            f"{inputs.id(name)[:12]}, made from {used[:12]}",
            f"Name artifacts that belong together; `densecorr store lineage {inputs.id(name)[:12]}` shows its own.",
        )


def made_from(inputs: StageInputs, name: str, role: str) -> str | None:
    """The artifact that an input's own stage took as `role`; None if there was none."""
    used = inputs.store.manifest(inputs.id(name)).recipe.inputs.get(role)
    return used if isinstance(used, str) else None


def check_calibration(inputs: StageInputs) -> None:
    """Raise a SettingsError unless a calibration was learnt on labels from the same features.

    Scores of another extractor, rig or template mean something else.
    """
    if not inputs.ids("calibration"):
        return
    labels = made_from(inputs, "calibration", "labels")
    if labels is None:
        return
    used = inputs.store.manifest(labels).recipe.inputs.get("features")
    if used != inputs.id("features"):
        raise SettingsError(
            f"a calibration learnt on labels from the features named here, {inputs.id('features')[:12]}",
            f"one learnt on labels from {str(used)[:12]}",
            "Calibrate on labels made with the same features: same extractor, rig and template.",
        )
