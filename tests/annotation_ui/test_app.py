import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotation_ui.app import check_address, check_loopback, open_app
from densecorr.errors import DependencyError, SettingsError


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.7", "::", "example.org"])
def test_an_address_others_could_reach_is_refused(address: str, port: int) -> None:
    with pytest.raises(SettingsError, match=f"ssh -L {port}"):
        check_address(address, port)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
def test_a_loop_back_address_is_fine(address: str, port: int) -> None:
    check_address(address, port)


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
            check_loopback(port)
        else:
            with pytest.raises(DependencyError, match=r"0\.0\.0\.0"):
                check_loopback(port)
        child.communicate()


def test_importing_the_package_does_not_import_fiftyone() -> None:
    modules = "annotation_ui.app, annotation_ui.samples, annotation_ui.mongo, flows.review, flows.doctor"
    code = f"import sys, {modules}; print(sorted({{'fiftyone', 'torch', 'prefect'}} & set(sys.modules)))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.mongo
def test_the_app_answers_on_this_machine_only(fiftyone: Any, port: int, tmp_path: Path) -> None:
    from densecorr.images import write_png

    write_png(tmp_path / "a.png", np.zeros((4, 4, 3), dtype=np.uint8))
    fiftyone.Dataset("opened").add_sample(fiftyone.Sample(filepath=str(tmp_path / "a.png")))
    session = open_app("opened", port, wait=False)
    try:
        check_loopback(port)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/datasets/opened", timeout=30) as answer:
            assert answer.status == 200
    finally:
        session.close()


@pytest.mark.mongo
@pytest.mark.usefixtures("fiftyone")
def test_opening_an_unknown_data_set_is_refused(port: int) -> None:
    with pytest.raises(SettingsError, match="nothing-of-this-name"):
        open_app("nothing-of-this-name", port, wait=False)
