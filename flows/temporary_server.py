"""A Prefect server that lives as long as the process that started it, at the other end of its stdin.

Run as a script by `flows.server.temporary_server`: prints its port, serves, ends when stdin does.
"""

import os
import socket
import sys
import threading


def end_with_parent() -> None:
    """Wait for the end of stdin, then end at once: there is nobody left to serve."""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Serve the API without the user interface, on a free port of the loopback address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=end_with_parent, daemon=True).start()

    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=True, final=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")).run(sockets=[listener])


if __name__ == "__main__":
    main()
