"""The panel over plain HTTP from another machine (`--address`), where browsers withhold locks and `randomUUID`."""

from functools import partial
from http.server import ThreadingHTTPServer
from socket import AF_INET
from threading import Thread

import psutil
import pytest

from tests.browser.fake_desk import FakeDesk, Handler
from tests.browser.panel_page import Panel

pytestmark = pytest.mark.browser


@pytest.fixture
def plain_desk():
    """A fake desk on an address of this machine that is no loop-back one."""
    links = [
        link.address for links in psutil.net_if_addrs().values() for link in links if link.family == AF_INET
    ]
    others = sorted(address for address in links if not address.startswith("127."))
    if not others:
        pytest.skip("this machine has no address but loop-back ones")
    desk = FakeDesk()
    server = ThreadingHTTPServer((others[0], 0), partial(Handler, desk))
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    desk.url = f"http://{others[0]}:{server.server_port}/"
    yield desk
    server.shutdown()
    server.server_close()


def test_acts_are_stored_and_survive_a_reload(plain_desk, new_page, complaints):
    page = new_page()
    page.goto(plain_desk.url)
    panel = Panel(page).ready()
    assert not page.evaluate("isSecureContext")
    key = panel.current()
    panel.press("a").saved()
    assert [(act["instance_id"], act["action"]) for act in plain_desk.acts] == [(key, "accept")]
    plain_desk.down = True
    panel.press("r")
    panel.wait("p.session.outbox.error !== null")
    plain_desk.down = False
    page.reload()
    Panel(page).ready().saved()
    assert [act["action"] for act in plain_desk.acts] == ["accept", "reject"]
    complaints.clear()  # the network's errors
