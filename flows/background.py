"""`densecorr up | down | status`: a local Prefect server in the background, found by every later command."""

import socket
import subprocess
import sys
from dataclasses import dataclass

from densecorr.errors import DependencyError

from .server import (
    BackgroundServer,
    answers,
    background_file,
    configured_server,
    read_background,
    server_environment,
    stop_process,
    wait_until_ready,
    write_background,
)
from .session import Session, say, state_folder


@dataclass(frozen=True)
class Up:
    """Start a local Prefect server in the background: runs start in seconds and can be seen in a browser."""

    port: int = 4200
    """On 127.0.0.1."""

    def __call__(self, session: Session) -> None:
        """Print the address for other programs; our own commands find it by themselves."""
        import psutil
        from filelock import FileLock

        with FileLock(state_folder() / "up.lock"):  # two `up` at once start one server
            running = read_background()
            if running is not None:
                say("a server is running already")
                _print_address(running)
                return
            address = f"http://127.0.0.1:{self.port}"
            if not _is_free(self.port):
                prefect = answers(f"{address}/api")
                raise DependencyError(
                    f"a free port {self.port}",
                    "a server that densecorr did not start" if prefect else "another program on it",
                    "Choose another --port"
                    + (f", or use that server: export PREFECT_API_URL={address}/api" if prefect else "."),
                )
            log = state_folder() / "server.log"
            with open(log, "w+b") as output:
                process = subprocess.Popen(
                    [sys.executable, "-m", "prefect", "server", "start", *_address_options(self.port)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=state_folder(),  # not the working folder with its .env and prefect.toml
                    env={"PREFECT_LOGGING_LEVEL": "WARNING", **server_environment()},
                    start_new_session=True,
                )
                try:
                    wait_until_ready(process, f"{address}/api", output)
                except BaseException:
                    stop_process(process)
                    raise
            started = psutil.Process(process.pid).create_time()
            server = BackgroundServer(process.pid, started, f"{address}/api", str(log))
            write_background(server)
            process.returncode = 0  # it outlives us: no warning about a child left behind
        _print_address(server)


@dataclass(frozen=True)
class Down:
    """Stop the server that `densecorr up` started."""

    def __call__(self, session: Session) -> None:
        """Return once it is gone."""
        import psutil

        server = read_background()
        if server is None:
            say("no server is running")
        else:
            parent = psutil.Process(server.pid)
            family = [*parent.children(recursive=True), parent]
            stop_process(parent)
            for process in family:
                if process.is_running():
                    stop_process(process)
            say(f"stopped {server.url}")
        background_file().unlink(missing_ok=True)


@dataclass(frozen=True)
class Status:
    """Say which server and which store the commands use."""

    def __call__(self, session: Session) -> None:
        """Print one fact a line."""
        configured = configured_server()
        if configured is None:
            print("server  none; `densecorr run` starts a temporary one, `densecorr up` one that stays")
        else:
            url, origin = configured
            print(f"server  {url} ({origin}), {'answers' if answers(url) else 'does not answer'}")
        store = session.store
        print(f"store   {store.place.uri}, {len(store.list())} artifacts")
        print(f"state   {state_folder()} (logs, the server's address)")


def _address_options(port: int) -> list[str]:
    return ["--host", "127.0.0.1", "--port", str(port)]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # connections that are closing do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _print_address(server: BackgroundServer) -> None:
    say(f"user interface: {server.url.removesuffix('/api')}   log: {server.log}")
    print(f"export PREFECT_API_URL={server.url}")
