"""The one desk of a FiftyOne server process, and its answers; the plugin's code is loaded anew on every request."""

import atexit
import importlib
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from densecorr.errors import DensecorrError

from .desk import Desk
from .desk_errors import error_answer
from .desk_settings import read_settings
from .leases import MongoLeases, database_name

OPERATORS: dict[str, tuple[str, ...]] = {  # and the parameters of each
    "review_open": ("version",),
    "review_instance": ("instance_id", "lease"),
    "review_similarity": ("instance_id", "x", "y", "vertex"),
    "review_act": ("act",),
    "review_release": ("instance_id",),
    "review_suggest": ("instance_id", "point_id"),
    "review_queue": ("since",),
    "review_others": ("instance_id",),
    "review_history": ("limit",),
    "review_guide": (),
    "review_spread": ("instance_id", "parts"),
}
_opening = threading.Lock()
_desk: Desk | None = None


def answer(operator: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What the panel gets for a call: the desk's answer, or `{"error": ...}`; never an exception."""
    try:
        return answer_of(current_desk(), operator, params)
    except Exception as error:  # whatever it is, the panel must be told and keep its acts
        return error_answer(error, "storage" if operator == "review_act" else "input")


def answer_of(desk: Desk, operator: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of one desk."""
    method: Callable[..., dict[str, Any]] = getattr(desk, operator)
    try:
        return method(**{name: params.get(name) for name in OPERATORS[operator]})
    except DensecorrError as error:
        return error_answer(error)
    except Exception as error:
        return error_answer(error, "storage" if operator == "review_act" else "input")


def current_desk() -> Desk:
    """This process's desk, opened by the first call from the settings that `DENSECORR_DESK` names.

    Raises:
        SettingsError: the App was not started for a reviewer.
        ArtifactError: the store lost what the desk is about.
    """
    global _desk
    with _opening:
        if _desk is None:
            settings = read_settings()
            _desk = Desk(settings, MongoLeases(_database_uri(), database_name(), settings.dataset))
            atexit.register(_desk.close)
            threading.Thread(target=_desk.warm_up, daemon=True).start()
        return _desk


def _database_uri() -> str:
    """The MongoDB that this process's FiftyOne uses, its own one included."""
    uri = os.environ.get("FIFTYONE_DATABASE_URI")
    if uri:
        return uri
    host, port = importlib.import_module("fiftyone.core.odm").get_db_client().address
    return f"mongodb://{host}:{port}"
