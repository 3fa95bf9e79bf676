"""Models to be asked: a server on 127.0.0.1 that answers as it is told to, and files with functions."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

Answer = Callable[[BaseHTTPRequestHandler, ndarray], None]


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """The address of a server that answers every request so."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with contextlib.suppress(OSError):  # whoever asked has gone
                answer(self, np.array(json.loads(body)["inputs"]))

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/predict"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler: BaseHTTPRequestHandler, content: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def saying(value: object, status: int = 200) -> Answer:
    """The same answer to all."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return lambda handler, _: send(handler, content, status)


def zeros(handler: BaseHTTPRequestHandler, inputs: ndarray) -> None:
    send(handler, json.dumps({"labels": [0] * len(inputs)}).encode())


def drip(handler: BaseHTTPRequestHandler, _: ndarray) -> None:
    """A byte every tenth of a second, without end: no single wait is long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _step in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def drip_head(handler: BaseHTTPRequestHandler, _: ndarray) -> None:
    for _step in range(100):
        handler.wfile.write(b"H")
        time.sleep(0.1)


def endless(handler: BaseHTTPRequestHandler, _: ndarray) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * (1 << 20))


def hang_up(handler: BaseHTTPRequestHandler, _: ndarray) -> None:
    handler.connection.close()


def slow(handler: BaseHTTPRequestHandler, _: ndarray) -> None:
    time.sleep(5)


def function_file(folder: Path, body: str) -> str:
    """The address of a function ``predict(x)`` with this body."""
    file = folder / "model.py"
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    file.write_text(f"import os, sys, time\nimport numpy as np\nimport torch\n\ndef predict(x):\n{lines}\n")
    return f"{file}:predict"
