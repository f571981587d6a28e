"""FiftyOne itself: importing it safely, and its App, for this machine only unless the caller names another address.

FiftyOne has no login, so what its settings say of the address does not count, and the App's sockets are checked.
"""

import atexit
import contextlib
import errno
import importlib
import importlib.util
import ipaddress
import logging
import os
import signal
import socket
import sys
import webbrowser
from types import FrameType
from typing import Any

from densecorr.errors import DependencyError, SettingsError

from .mongo import find_database, use_database

_GOODBYE_S = 1.0  # for a database that may be gone: asked twice when an App closes
LOOPBACK = "127.0.0.1"


def mongo_available() -> tuple[bool, str]:
    """Whether FiftyOne would find its database here, and which, or why not. Seconds at most."""
    try:
        database = find_database()
    except DependencyError as error:
        return False, str(error)
    return True, f"MongoDB {database.version} ({database.target.rpartition('@')[2]})"


def describe_fiftyone() -> str:
    """One line for a program's output: what the browsable view needs here, or how to open it."""
    if importlib.util.find_spec("fiftyone") is None:
        return (
            "FiftyOne is not installed, so there is no browsable view. Install it with: pip install fiftyone"
        )
    available, reason = mongo_available()
    if available:
        return f"Browse it with: densecorr review open DATASET (FiftyOne on {reason})"
    return f"No browsable view: FiftyOne needs MongoDB. {reason}"


def import_fiftyone() -> Any:
    """The fiftyone module, connected to a database that was checked first; about 14 s the first time.

    Raises:
        DependencyError: FiftyOne or MongoDB is absent.
    """
    if "fiftyone" in sys.modules:
        return sys.modules["fiftyone"]
    if importlib.util.find_spec("fiftyone") is None:
        raise DependencyError("fiftyone", "no such package", "Install it with: pip install fiftyone")
    use_database(find_database())
    os.environ["FIFTYONE_DO_NOT_TRACK"] = "true"
    os.environ["FIFTYONE_DEFAULT_APP_ADDRESS"] = LOOPBACK
    os.environ.setdefault("FIFTYONE_SHOW_PROGRESS_BARS", "false")
    return importlib.import_module("fiftyone")


def open_app(
    name: str,
    port: int = 5151,
    address: str = LOOPBACK,
    wait: bool = True,
    browser: bool = False,
    panel: str | None = None,
) -> Any:
    """Serve the App on a data set that was exported before; with `wait`, until Ctrl-C.

    Args:
        name: the FiftyOne data set's name.
        port: TCP port of the App.
        address: of this machine, as in `check_address`; others than loop-back ones let in whoever reaches them.
        wait: return only when the user stops it.
        browser: also open the user's browser.
        panel: a plugin's panel to open beside the samples.

    Returns:
        the FiftyOne session; `close()` ends it.

    Raises:
        SettingsError: no address of this machine, a port in use, or no such data set.
        DependencyError: no MongoDB.
    """
    check_address(address, port)
    fo = import_fiftyone()
    if not fo.dataset_exists(name):
        raise SettingsError(
            f"one of {', '.join(fo.list_datasets()) or 'none'}",
            f"'{name}'",
            "Export it first: densecorr review open DATASET",
        )
    logging.getLogger("fiftyone").setLevel(logging.WARNING)  # its welcome text and port-forwarding hints
    spaces = None if panel is None else _with_panel(fo, panel)
    session = fo.launch_app(fo.load_dataset(name), port=port, address=address, remote=True, spaces=spaces)
    try:
        check_sockets(port, address)
        url = f"http://{LOOPBACK if address == '0.0.0.0' else address}:{port}/datasets/{name}"
        print(f"FiftyOne shows '{name}' at {url}" + (" (Ctrl-C ends it)" if wait else ""), flush=True)
        if browser:
            webbrowser.open(url)
        if wait:
            _wait_for_the_user(session)
    except BaseException:
        session.close()
        raise
    return session


def _with_panel(fo: Any, panel: str) -> Any:
    """The App's layout with a panel as a second tab, in front."""
    opened = fo.Panel(type=panel)
    samples = fo.Panel(type="Samples", pinned=True)
    return fo.Space(children=[samples, opened], active_child=opened.component_id)


def _wait_for_the_user(session: Any) -> None:
    """Serve until Ctrl-C, or until the process is asked to end, then close: the servers must not be left behind."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        session.wait(-1)
    except KeyboardInterrupt:
        print("closing FiftyOne (a few seconds)", flush=True)
        close_session(session)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def close_session(session: Any) -> None:
    """End the servers; where the database does not answer without FiftyOne's own goodbyes, which wait for it."""
    import psutil

    if database_answers():
        session.close()
        return
    print("the database does not answer: ending the servers without it", flush=True)
    servers = psutil.Process().children(recursive=True)
    for server in servers:
        with contextlib.suppress(psutil.NoSuchProcess):
            server.kill()
    psutil.wait_procs(servers, timeout=_GOODBYE_S)
    database = importlib.import_module("fiftyone.core.odm.database")
    atexit.unregister(database._delete_non_persistent_datasets_if_allowed)


def database_answers(timeout_s: float = _GOODBYE_S) -> bool:
    """Whether the database of the FiftyOne that was imported answers now."""
    import pymongo
    from pymongo.errors import PyMongoError

    client = importlib.import_module("fiftyone.core.odm").get_db_client()
    try:
        with pymongo.timeout(timeout_s):
            client.admin.command("ping")
    except PyMongoError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether an address, an IP one or `localhost`, can be reached from this machine only."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def port_is_free(address: str, port: int) -> bool:
    """Whether something could listen on this TCP port.

    Raises:
        SettingsError: nothing can listen on this address: it is not IPv4, or not this machine's.
    """
    if address != "localhost":
        try:
            ipaddress.IPv4Address(address)
        except ValueError as error:
            raise _no_address(address, str(error)) from error
    try:
        socket.create_server((address, port)).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise _no_address(f"{address}:{port}", str(error.strerror)) from error
        return False
    return True


def _no_address(received: str, why: str) -> SettingsError:
    return SettingsError(
        f"an IPv4 address of this machine: {LOOPBACK}, 0.0.0.0 (all of them), or one of its own",
        f"{received} ({why})",
        "Choose another --address.",
    )


def check_address(address: str, port: int) -> None:
    """Refuse an address that is none of this machine's, and a port that something else has.

    Raises:
        SettingsError: as said.
    """
    if not port_is_free(address, port):
        raise SettingsError("a free port", f"{port}, which is in use", "Choose another --port.")


def check_sockets(port: int, address: str = LOOPBACK) -> None:
    """Make sure that whatever listens on this port can be reached at this address only.

    Raises:
        DependencyError: a socket on another address, or none.
    """
    import psutil

    hosts = set()
    for process in psutil.Process().children(recursive=True):
        try:
            hosts |= {
                link.laddr.ip
                for link in process.net_connections(kind="tcp")
                if link.status == psutil.CONN_LISTEN and link.laddr.port == port
            }
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    if not hosts or not all(
        host == address or (is_loopback(host) and is_loopback(address)) for host in hosts
    ):
        raise DependencyError(
            f"an App that listens on {address}:{port}", str(sorted(hosts)), "Report this with the log."
        )
