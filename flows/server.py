"""Which Prefect server is used: the user's own, that of `densecorr up`, or a temporary one for this process.

In this order: PREFECT_API_URL in the environment, the server of `densecorr up`, PREFECT_API_URL in the active
Prefect profile. The address found is put into the environment, where it wins over a stray `.env` file.
Nothing here imports Prefect, so that a server can be looked for, and can start, while Prefect is being
imported.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from densecorr.errors import DependencyError

from .session import logger, say, state_folder

if TYPE_CHECKING:
    import psutil

STARTUP_VARIABLE = "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
TEMPORARY_VARIABLE = "DENSECORR_TEMPORARY_SERVER"  # set while the server in use is our temporary one
STARTUP_S = 180.0  # the first start on a slow disk creates a database and compiles bytecode
PROBE_S = 1.0


@dataclass(frozen=True)
class BackgroundServer:
    """What `densecorr up` left behind; `started` tells the process from a later one with its pid."""

    pid: int
    started: float
    url: str
    log: str


def background_file() -> Path:
    """Where the address of the background server is kept."""
    return state_folder() / "server.json"


def read_background() -> BackgroundServer | None:
    """The server that `densecorr up` started, if its process still lives."""
    import psutil

    try:
        server = BackgroundServer(**json.loads(background_file().read_text(encoding="utf-8")))
        alive = abs(psutil.Process(server.pid).create_time() - server.started) < 1.0
    except (FileNotFoundError, ValueError, TypeError, psutil.NoSuchProcess):
        return None
    return server if alive else None


def write_background(server: BackgroundServer) -> None:
    """Remember the background server."""
    draft = background_file().with_suffix(".tmp")
    draft.write_text(json.dumps(asdict(server), indent=2), encoding="utf-8")
    draft.replace(background_file())


def configured_server() -> tuple[str, str] | None:
    """The address of the server to use and who named it; None if nobody did. It may not answer."""
    if os.environ.get("PREFECT_API_URL"):
        return os.environ["PREFECT_API_URL"], "PREFECT_API_URL"
    background = read_background()
    if background is not None:
        return background.url, "densecorr up"
    in_profile = _profile_url()
    return (in_profile, "the Prefect profile") if in_profile else None


def _profile_url() -> str | None:
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    path = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml").expanduser()
    if not path.is_file():
        return None
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    active = os.environ.get("PREFECT_PROFILE") or data.get("active", "")
    return data.get("profiles", {}).get(active, {}).get("PREFECT_API_URL")


def is_local(url: str) -> bool:
    """Whether an address is on this machine."""
    return urllib.parse.urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def answers(url: str, timeout: float = PROBE_S) -> bool:
    """Whether a server answers at a Prefect API address; any HTTP status counts but its own failure."""
    handlers = [urllib.request.ProxyHandler({})] if is_local(url) else []
    try:
        with urllib.request.build_opener(*handlers).open(f"{url.rstrip('/')}/health", timeout=timeout):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return error.code < 500
    except (OSError, ValueError):
        return False


def reachable_server() -> str | None:
    """The address of the configured server if it answers now."""
    configured = configured_server()
    return configured[0] if configured and answers(configured[0]) else None


@contextlib.contextmanager
def tracking_server() -> Iterator[str]:
    """The configured server, else a temporary one for the block; meanwhile its address is in the environment.

    Raises:
        DependencyError: the configured server does not answer, or the temporary one does not start.
    """
    configured = configured_server()
    if configured is None:
        with temporary_server() as url:
            yield url
        return
    url, origin = configured
    if not answers(url, timeout=5.0):
        raise DependencyError(
            f"a Prefect server at {url}, which {origin} names",
            "no answer",
            "Start it (`densecorr up` starts a local one), or unset the address to use a temporary server.",
        )
    with client_environment(url):
        yield url


@contextlib.contextmanager
def temporary_server() -> Iterator[str]:
    """A Prefect server for as long as the block runs; it also ends when this process is killed."""
    say("starting a temporary Prefect server (`densecorr up` keeps one running)")
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("temporary_server.py"))],
            stdin=subprocess.PIPE,  # its end tells the server that this process is gone
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=state_folder(),  # not the working folder with its .env and prefect.toml
            env=server_environment(),
            start_new_session=True,  # Ctrl-C is for this process, which then still reports to the server
        )
        with process:
            try:
                assert process.stdout is not None
                url = f"http://127.0.0.1:{process.stdout.readline().decode().strip()}/api"
                with client_environment(url, **{TEMPORARY_VARIABLE: "1"}):
                    import prefect  # noqa: F401  the server starts meanwhile

                    wait_until_ready(process, url, output)
                    yield url
            finally:
                stop_process(process)


def wait_until_ready(process: subprocess.Popen[bytes], url: str, output: IO[bytes]) -> None:
    """Return once the server answers.

    Raises:
        DependencyError: it ended or took too long; what it wrote to `output` goes to the log.
    """
    patience = float(os.environ.get(STARTUP_VARIABLE) or STARTUP_S)
    deadline = time.monotonic() + patience
    while not answers(url):
        ended = process.poll() is not None
        if not ended and time.monotonic() < deadline:
            time.sleep(0.1)
            continue
        output.seek(0)
        logger.error("the Prefect server wrote:\n%s", output.read().decode(errors="replace"))
        raise DependencyError(
            f"a Prefect server that answers within {patience:.0f} s",
            f"its end with code {process.returncode}" if ended else "no answer",
            f"See the log, or raise {STARTUP_VARIABLE}.",
        )


def stop_process(process: "subprocess.Popen[bytes] | psutil.Process", patience: float = 10.0) -> None:
    """Ask a process to end; kill it if it has not after `patience` seconds."""
    import psutil

    process.terminate()
    try:
        process.wait(timeout=patience)
    except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
        process.kill()
        process.wait()


def server_environment() -> dict[str, str]:
    """The environment of a server of ours: nothing leaves the machine, and it is no client of another one."""
    kept = {
        key: value for key, value in os.environ.items() if key not in ("PREFECT_API_URL", "PREFECT_API_KEY")
    }
    return {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", **kept}


@contextlib.contextmanager
def client_environment(url: str, **more: str) -> Iterator[None]:
    """The environment under which Prefect is imported and flows are run; put back afterwards."""
    ours = {
        **more,
        "PREFECT_API_URL": url,
        "DO_NOT_TRACK": os.environ.get("DO_NOT_TRACK", "1"),
        STARTUP_VARIABLE: os.environ.get(STARTUP_VARIABLE) or f"{STARTUP_S:.0f}",
        "PREFECT_LOGGING_EXTRA_LOGGERS": os.environ.get("PREFECT_LOGGING_EXTRA_LOGGERS", "densecorr"),
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }
    if is_local(url):  # a proxy cannot reach this machine's loopback address
        hosts = ["127.0.0.1", "localhost", *filter(None, [os.environ.get("NO_PROXY")])]
        ours["NO_PROXY"] = ours["no_proxy"] = ",".join(hosts)
    before = {key: os.environ.get(key) for key in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
