import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from socket import AF_INET
from typing import Any

import numpy as np
import psutil
import pytest

from annotation_ui.app import check_address, check_sockets, is_loopback, open_app
from densecorr.errors import DependencyError, SettingsError


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("address", ["203.0.113.7", "::1", "example.org", ""])
def test_an_address_that_is_not_this_machines_is_refused(address: str, port: int) -> None:
    with pytest.raises(SettingsError, match="--address"):
        check_address(address, port)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "localhost", "0.0.0.0"])
def test_an_address_of_this_machine_is_fine(address: str, port: int) -> None:
    check_address(address, port)
    assert is_loopback(address) == (address != "0.0.0.0")


def test_a_port_in_use_is_refused_before_fiftyone_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(SettingsError, match=f"{port}, which is in use"):
            open_app("any", port)


@pytest.mark.parametrize(("host", "is_private"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_the_sockets_of_the_children_are_looked_at(host: str, is_private: bool) -> None:
    code = (
        f"import socket, sys; s = socket.create_server(('{host}', 0)); print(s.getsockname()[1], flush=True)"
    )
    command = [sys.executable, "-c", code + "; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        if is_private:
            check_sockets(port)
        else:
            with pytest.raises(DependencyError, match=r"0\.0\.0\.0"):
                check_sockets(port)
        child.communicate()


def test_importing_the_package_does_not_import_fiftyone() -> None:
    modules = "annotation_ui.app, annotation_ui.samples, annotation_ui.mongo, flows.review, flows.doctor"
    code = f"import sys, {modules}; print(sorted({{'fiftyone', 'torch', 'prefect'}} & set(sys.modules)))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def own_address() -> str:
    """An address by which other machines could reach this one."""
    named = {
        link.address for links in psutil.net_if_addrs().values() for link in links if link.family == AF_INET
    }
    others = sorted(address for address in named if not is_loopback(address))
    if not others:
        pytest.skip("this machine has no address but loop-back ones")
    return others[0]


@pytest.mark.mongo
def test_the_app_answers_where_it_was_told_to_and_nowhere_else(
    fiftyone: Any, port: int, own_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from densecorr.images import write_png

    def answers(address: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}:{port}/datasets/opened", timeout=30) as answer:
                return answer.status == 200
        except urllib.error.URLError:
            return False

    monkeypatch.setattr(fiftyone.config, "default_app_address", "0.0.0.0")  # no flag, so it must not count
    monkeypatch.setenv("FIFTYONE_DEFAULT_APP_ADDRESS", "0.0.0.0")
    write_png(tmp_path / "a.png", np.zeros((4, 4, 3), dtype=np.uint8))
    fiftyone.Dataset("opened").add_sample(fiftyone.Sample(filepath=str(tmp_path / "a.png")))
    # an address that no setting or default leads to; a loop-back one would hide that it is not looked at
    session = open_app("opened", port, own_address, wait=False)
    try:
        check_sockets(port, own_address)
        with pytest.raises(DependencyError, match=own_address):
            check_sockets(port)
        assert [answers("127.0.0.1"), answers(own_address)] == [False, True]
    finally:
        session.close()


@pytest.mark.mongo
@pytest.mark.usefixtures("fiftyone")
def test_opening_an_unknown_data_set_is_refused(port: int) -> None:
    with pytest.raises(SettingsError, match="nothing-of-this-name"):
        open_app("nothing-of-this-name", port, wait=False)
