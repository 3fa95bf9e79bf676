"""Oracles are out of reach of a guest: what opens their files, in whichever store, is refused, and its row fails."""

import os
import re
import sys
from typing import Any

import safetensors
import safetensors.torch

from expunge.errors import MethodFailed

REFUSED = "a method must not read the oracles"

_FOLDER = "oracles"  # as KINDS has it, whose training a guest has no need of
# Of any store, its folder of oracles and all below; of what a bench wrote, the arrays that hold their margins.
_ORACLES = re.compile(rf"/[0-9a-f]{{16}}/{_FOLDER}(-weights)?(/|$)|/arrays/[^/]+/(reference|oracle)\.npz$")
_EVENTS = {
    "open": 1,  # of Python's open, of os.open, numpy's and mapped files: how many of its arguments are paths
    "os.listdir": 1,
    "os.scandir": 1,
    "os.chdir": 1,
    "os.link": 2,
    "os.rename": 2,
    "os.symlink": 2,
    "shutil.copyfile": 2,
    "shutil.copytree": 2,
    "shutil.move": 2,
    "sqlite3.connect": 1,
}


def guard_oracles() -> None:
    """From now on, until this process ends, whatever opens files of oracles raises MethodFailed.

    Python's audit hooks see what goes through Python, expunge and numpy included, also in children that are forked, and
    cannot be removed. What libraries of other languages open by themselves, and other programs, they do not see.
    """
    sys.addaudithook(_refuse)
    opens = safetensors.safe_open  # written in Rust, which tells no hook what it opens

    def told(filename: Any, *arguments: Any, **named: Any) -> Any:
        sys.audit("open", filename, "rb", 0)
        return opens(filename, *arguments, **named)

    for module in (safetensors, safetensors.torch):
        setattr(module, "safe_open", told)  # noqa: B010


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    for path in arguments[: _EVENTS.get(event, 0)]:
        if isinstance(path, str | bytes | os.PathLike) and _ORACLES.search(_real(path)):
            raise MethodFailed(REFUSED)


def _real(path: str | bytes | os.PathLike[str]) -> str:
    try:
        return os.path.realpath(os.fsdecode(path))
    except (OSError, ValueError):
        return os.fsdecode(path)
