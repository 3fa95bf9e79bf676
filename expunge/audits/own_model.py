"""A model behind a function of a file, asked in a process of its own: it may hang, crash or print what it likes."""

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from torch import Tensor

from expunge.audits.answers import MOST_ANSWER, BlackBox, labels_of
from expunge.errors import ExpungeError, NoAnswer, UnknownName, in_a_line
from expunge.guests import Guest, GuestGone, guest
from expunge.user_files import load_function, raised_by

LOAD_SECONDS = 120.0  # for a file that imports a library, or reads a model, as it is loaded


@contextlib.contextmanager
def own_model(name: str, classes: int, seconds: float) -> Iterator[BlackBox]:
    """The function ``file.py:function``, for as long as this lasts."""
    with guest(__name__) as process:
        process.tell(json.dumps({"name": name, "folder": str(Path.cwd())}).encode())
        found = _told(process, name, max(seconds, LOAD_SECONDS), "was not loaded")
        if "unknown" in found:
            raise UnknownName(found["unknown"])

        def ask(inputs: ndarray) -> ndarray:
            process.tell(json.dumps({"classes": classes}).encode())
            process.tell(_packed(inputs))
            answer = _told(process, name, seconds, "did not answer")
            if "failed" in answer:
                raise NoAnswer(answer["failed"])
            return labels_of(answer.get("labels"), len(inputs), classes, name)

        yield ask


def _told(process: Guest, name: str, seconds: float, what: str) -> dict[str, Any]:
    """What the function's process says next; NoAnswer where it is gone, or late."""
    began = time.monotonic()
    try:
        found: dict[str, Any] = json.loads(process.answer(MOST_ANSWER, seconds))
    except GuestGone as gone:
        late = time.monotonic() - began >= seconds
        raise NoAnswer(f"{name} {what} within {seconds:g} s" if late else f"{name} {what}: {gone}") from None
    except ValueError:
        raise NoAnswer(f"{name} {what}: its process said what is no JSON") from None
    return found


def _packed(inputs: ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, inputs, allow_pickle=False)
    return stream.getvalue()


def prepare() -> None:
    """Nothing more than this module imports."""


def serve(connection: Connection) -> None:
    """Load the function, and answer with the labels that it gives, until nothing more is asked."""
    order = json.loads(connection.recv_bytes())
    os.chdir(order["folder"])
    try:
        function = load_function("model", order["name"])
        connection.send_bytes(b"{}")
    except ExpungeError as error:
        connection.send_bytes(json.dumps({"unknown": str(error)}).encode())
        return
    sys.path.insert(0, str(Path(order["name"].rpartition(":")[0]).expanduser().resolve().parent))
    own = os.getpid()
    with contextlib.suppress(EOFError):
        while True:
            classes = json.loads(connection.recv_bytes())["classes"]
            inputs = np.load(io.BytesIO(connection.recv_bytes()), allow_pickle=False)
            answer = _answered(function, inputs, classes, order["name"])
            if os.getpid() != own:  # a child that the function forked, and let return
                os._exit(0)
            connection.send_bytes(json.dumps(answer).encode())


def _answered(function: Any, inputs: ndarray, classes: int, name: str) -> dict[str, Any]:
    try:
        found = function(inputs.copy())
        found = found.detach().cpu().numpy() if isinstance(found, Tensor) else found
        return {"labels": labels_of(found, len(inputs), classes, name).tolist()}
    except NoAnswer as error:
        return {"failed": str(error)}
    except BaseException as error:  # a stranger's code may raise anything at all
        return {"failed": f"{name}: {raised_by(error) or f'raised {in_a_line(error)}'}"}
