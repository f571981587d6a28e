"""Making FiftyOne find the review plugin without touching the user's own plugins.

FiftyOne reads one plugins folder. It is pointed to a folder of ours with two links: to the plugin in this package, so
that it is never older than the data, and to the folder the user had, so that their plugins are there as well.
"""

import json
import os
from pathlib import Path

from densecorr.errors import DependencyError

PANEL = "densecorr_review"  # as plugin/index.js registers it
_SOURCE = Path(__file__).parent / "plugin"


def user_plugins_folder() -> Path:
    """Where FiftyOne would look for plugins, from its variables and its config file; it may not exist."""
    path = Path(os.environ.get("FIFTYONE_CONFIG_PATH", "~/.fiftyone/config.json")).expanduser()
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except json.JSONDecodeError as error:
        raise DependencyError(
            "FiftyOne's config file as a JSON object", f"{path} ({error})", "Mend or remove it."
        ) from error
    named = os.environ.get("FIFTYONE_PLUGINS_DIR") or config.get("plugins_dir")
    if named:
        return Path(named).expanduser()
    datasets = os.environ.get("FIFTYONE_DEFAULT_DATASET_DIR") or config.get("default_dataset_dir")
    return Path(datasets or "~/fiftyone").expanduser() / "__plugins__"


def use_review_plugin(folder: Path) -> None:
    """Point a FiftyOne that is imported later at `folder`, made anew with the plugin and the user's own."""
    own = user_plugins_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for link in folder.iterdir():
        if link.is_symlink():
            link.unlink()
    (folder / "densecorr-review").symlink_to(_SOURCE, target_is_directory=True)
    if own.is_dir() and own.resolve() != folder.resolve():
        (folder / "own").symlink_to(own.absolute(), target_is_directory=True)
    os.environ["FIFTYONE_PLUGINS_DIR"] = str(folder)
    os.environ["FIFTYONE_PLUGINS_CACHE_ENABLED"] = "true"  # else every call loads every plugin again
