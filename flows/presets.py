"""`--preset NAME` on the command line: a command whose settings have presets starts from one of them."""

from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from densecorr.config import from_jsonable
from densecorr.errors import SettingsError


def take_option(option: str, arguments: list[str]) -> tuple[str | None, list[str]]:
    """The value of an option that no command declares (None where it is absent), and the other arguments."""
    rest: list[str] = []
    value, given = None, iter(arguments)
    for argument in given:
        if argument == option or argument.startswith(f"{option}="):
            value = argument.partition("=")[2] if "=" in argument else next(given, "")
        else:
            rest.append(argument)
    return value, rest


def take_preset(command: type, arguments: list[str]) -> tuple[Any, list[str]]:
    """The command with the preset's settings as a default for tyro (None without a preset), and the other arguments.

    Raises:
        SettingsError: no such preset, none named, or a command without presets.
    """
    name, rest = take_option("--preset", arguments)
    if name is None:
        return None, rest
    kind = get_type_hints(command).get("settings")
    if not hasattr(kind, "PRESETS"):
        raise SettingsError("a command with presets, such as train", f"--preset {name}", "Leave it out.")
    import tyro

    values: dict[str, Any] = {
        f.name: tyro.MISSING for f in fields(command) if f.default is MISSING and f.default_factory is MISSING
    }
    return command(**values, settings=from_jsonable(kind, {"preset": name}, "settings")), rest
