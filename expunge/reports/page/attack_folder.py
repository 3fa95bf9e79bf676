"""A folder that an attack wrote, as its page reads it: the records, and the command that made them."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from expunge.bench.folder import SCORES
from expunge.bench.run_info import RUN, RunInfo, read_run, require_files
from expunge.errors import StoreError
from expunge.files import unchanging, write_file
from expunge.outside import read_text

COMMAND = "command.txt"
Found = TypeVar("Found")


def read_attack(place: Path, attack: str, read: Callable[[RunInfo], Found], command: str = "") -> tuple[Found, str]:
    """What ``read`` makes of the files in ``place``, which nobody changes meanwhile, and the command that made them.

    The ``command`` is kept beside them, and read where it is not given. StoreError for a folder without records, with
    the words of the command line that would write it: ``expunge attack`` and those of ``attack``.
    """
    if not (place / SCORES).is_file():
        raise StoreError(f"{place / SCORES} is not there; run `expunge attack {attack} --out {place}` first")
    with unchanging(place):
        run = read_run(place / RUN)
        require_files(place, run.files or {}, optional=".npz")
        found = read(run)
    told = place / COMMAND
    if command:
        write_file(told, command + "\n")
    elif told.is_file():
        command = read_text(told, StoreError).strip()
    return found, command
