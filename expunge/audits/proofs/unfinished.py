"""A folder that is filled piece by piece: marked until all is there, so that what was stopped can be begun anew."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from expunge.errors import BadSetting
from expunge.files import cannot_write

MARK = ".unfinished"


@dataclass(frozen=True, eq=False)
class Unfinished:
    """A marked folder, which this process has for itself until :meth:`finish`; one that dies leaves the mark alone."""

    folder: Path
    lock: FileLock

    @classmethod
    def begin(cls, folder: Path, parts: str, what: str) -> "Unfinished":
        """Make ``folder``, and mark it. It must be new, empty, or what was left by a process that was stopped.

        Of that everything is removed: it has the mark, and beside it only what is named as the pattern ``parts`` says.
        Anything else is somebody's, and is refused as no place for ``what``.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = {each.name: each for each in folder.iterdir()}
            left = found.pop(MARK, None)
            if found and (left is None or not all(re.fullmatch(parts, name) for name in found)):
                raise BadSetting(f"{folder} is not empty, and {what} has its folder for itself; give another one")
            lock = FileLock(folder / MARK)
            lock.acquire(timeout=0)
            for each in found.values():
                shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
        except Timeout:
            raise BadSetting(f"{folder} is being written to, maybe by another process; give another one") from None
        except (OSError, NotImplementedError) as error:
            raise cannot_write(folder, error) from None
        return cls(folder, lock)

    def finish(self) -> None:
        """All is there: the mark goes."""
        (self.folder / MARK).unlink(missing_ok=True)
        self.lock.release()
