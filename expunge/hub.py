"""Files on the Hugging Face hub: listed, downloaded, checked, uploaded; every trouble ends in one line.

Downloads lie in the hub library's own cache (``HF_HOME``), by repository and commit, and are used again. Whatever was
downloaded has the size and the hash that the hub tells for it, or it is deleted and said so.
"""

import glob
import hashlib
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import cast

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder
from huggingface_hub.utils.tqdm import disable_progress_bars

from expunge.errors import BadSetting, HubError
from expunge.hub_limits import BYTES, LISTED, limited, most_bytes

# The bases of the library's own error are those of all errors of its transport, whichever that is.
_BASES = cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)
_TROUBLE: tuple[type[Exception], ...] = (*_BASES, EntryNotFoundError, XetDownloadError, RuntimeError)
_NONSENSE = (ValueError, TypeError, KeyError, AttributeError)  # of answers that are no JSON, or other JSON
_AGAIN = "what is complete is kept: run the same command again"
_NO_NAME = "there is none of this name, or it is private; check the name, or log in with `hf auth login`"
_NO_HUB = "the answer is not that of a hub; check HF_ENDPOINT and what stands between you and it"

_REASONS: list[tuple[type[BaseException], str]] = [
    (OfflineModeIsEnabled, "HF_HUB_OFFLINE is set; unset it, or import a folder that was downloaded before"),
    (GatedRepoError, "access must be asked for on its page; then log in with `hf auth login` and run again"),
    (RevisionNotFoundError, "it has no such revision; give a branch, a tag or a commit that it has"),
    (RepositoryNotFoundError, _NO_NAME),
    (FileMetadataError, _NO_HUB),
]
_STATUS = {
    401: _NO_NAME,
    403: "your token may not do this; log in with one that may, with `hf auth login`",
    404: "there is no such thing; check the name",
    429: "too many requests; wait some minutes, then run again",
}


@dataclass(frozen=True)
class Listed:
    """What the hub tells of a file; ``sha256`` of large files, ``git_sha1`` of small ones."""

    path: str
    size: int
    sha256: str | None
    git_sha1: str


@dataclass(frozen=True)
class Repository:
    """A data set repository on the hub, ``OWNER/NAME``.

    ``endpoint`` is the address of the hub, default: ``HF_ENDPOINT`` or huggingface.co; ``cache`` where downloads lie,
    default: the library's.
    """

    name: str
    endpoint: str | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", self.name):
            raise BadSetting(f"expected a repository as OWNER/NAME, got {self.name!r}")

    def commit(self, revision: str = "main") -> str:
        """The commit that ``revision`` (branch, tag, commit) stands for now."""
        with limited(self._title), self._one_line("find"):
            told = self._api.repo_info(self.name, repo_type="dataset", revision=revision).sha
        if not isinstance(told, str) or not re.fullmatch(r"[0-9a-f]{40}", told):
            raise HubError(f"{self._title} cannot be used: {told!r} is no commit")
        return told

    def names(self, commit: str, folder: str = "") -> list[str]:
        """Names of the files and folders in ``folder``."""
        return [PurePosixPath(each.path).name for each in self._tree(commit, folder, recursive=False)]

    def listing(self, commit: str, pattern: str) -> list[Listed]:
        """All files that match ``pattern``, of which ``*`` also stands for slashes; none where there is no folder."""
        folder = re.split(r"[*?\[]", pattern)[0].rpartition("/")[0]
        found = []
        for each in self._tree(commit, folder, recursive=True):
            if isinstance(each, RepoFile) and fnmatchcase(each.path, pattern):
                self._require_inside(each.path)
                sha256 = each.lfs.sha256 if each.lfs else None
                size = each.lfs.size if each.lfs else each.size
                if type(size) is not int or size < 0:
                    raise HubError(f"{self._title} cannot be used: it lists {each.path[:80]!r} with no size")
                found.append(Listed(each.path, size, sha256, each.blob_id))
        return found

    def download(self, commit: str, patterns: Sequence[str]) -> Path:
        """The folder of ``commit`` with all files that match; those already there are not downloaded again.

        No more is taken of a file than was listed. Every file is checked against what the hub tells of it; one that
        differs is deleted.
        """
        listed = [file for pattern in patterns for file in self.listing(commit, pattern)]
        sizes = {file.path: file.size for file in listed}
        total, most = sum(sizes.values()), most_bytes()
        if total > most:
            raise HubError(
                f"{self._title} lists {total:,} bytes to download, expected at most {most:,}; ask for fewer forget "
                f"sets, or allow more with {BYTES}=..."
            )
        with (
            self._tidied(),
            limited(self._title, sizes, f"/resolve/{commit}/"),
            self._one_line("download"),
            _quiet(),
            _plain(),
        ):
            folder = Path(
                snapshot_download(
                    self.name,
                    repo_type="dataset",
                    revision=commit,
                    allow_patterns=list(patterns),
                    endpoint=self.endpoint,
                    cache_dir=self.cache,
                    library_name="expunge",
                )
            )
        wrong = [file.path for file in listed if not _as_told(folder / file.path, file)]
        if wrong:
            rest = f" and {len(wrong) - 1} more are" if wrong[1:] else " is"
            raise HubError(f"{self._title}: {wrong[0]}{rest} not what the hub tells, and deleted; {_AGAIN}")
        return folder

    def upload(self, folder: Path, files: Sequence[str], place: str, *, private: bool = False) -> str:
        """Upload ``files`` of ``folder`` below ``place`` in one commit or a few; the address of the last.

        The repository is made where there is none. Files that it already holds are not sent again.
        """
        with self._one_line("upload to"), _quiet():
            self._api.create_repo(self.name, repo_type="dataset", private=private, exist_ok=True)
            done = self._api.upload_folder(
                repo_id=self.name,
                repo_type="dataset",
                folder_path=folder,
                path_in_repo=place,
                allow_patterns=[glob.escape(file) for file in files],
                commit_message=f"{place}: artefacts of expunge",
            )
        return str(done.commit_url)

    @property
    def _api(self) -> HfApi:
        return HfApi(endpoint=self.endpoint, library_name="expunge")

    @property
    def _title(self) -> str:
        return f"hub {self.endpoint or constants.ENDPOINT}, repository {self.name}"

    def _tree(self, commit: str, folder: str, *, recursive: bool) -> list[RepoFile | RepoFolder]:
        try:
            with limited(self._title), self._one_line("list"):
                found = list(islice(self._listed(commit, folder, recursive), LISTED + 1))
        except HubError as error:
            if isinstance(error.__cause__, EntryNotFoundError):  # no such folder
                return []
            raise
        if len(found) > LISTED:
            raise HubError(f"{self._title} cannot be used: it lists more than {LISTED:,} files")
        return found

    def _listed(self, commit: str, folder: str, recursive: bool) -> Iterator[RepoFile | RepoFolder]:
        yield from self._api.list_repo_tree(
            self.name, folder or None, recursive=recursive, revision=commit, repo_type="dataset"
        )

    @contextmanager
    def _tidied(self) -> Iterator[None]:
        """Leave no part of a file that the hub sent too much of."""
        try:
            yield
        except HubError as error:
            if error.__cause__ is None:  # it was refused, not cut off
                place = Path(self.cache or constants.HF_HUB_CACHE) / f"datasets--{self.name.replace('/', '--')}"
                for part in place.glob("blobs/*.incomplete"):
                    part.unlink(missing_ok=True)
            raise

    def _require_inside(self, path: str) -> None:
        place = PurePosixPath(path)
        if place.is_absolute() or ".." in place.parts or "\\" in path:
            raise HubError(f"{self._title} cannot be used: it lists {path!r}, which climbs out of its folder")

    @contextmanager
    def _one_line(self, what: str) -> Iterator[None]:
        """Whatever goes wrong on the hub or on the way, as one :class:`HubError`."""
        try:
            yield
        except _TROUBLE as error:
            raise HubError(f"cannot {what} {self._title}: {_reason(error)}") from error
        except _NONSENSE as error:
            raise HubError(f"cannot {what} {self._title}: {_NO_HUB} ({type(error).__name__})") from error


def _reason(error: BaseException) -> str:
    """What one can do about ``error``, which the library wraps in others."""
    cause: BaseException | None = error
    while cause:
        error = cause
        for kind, reason in _REASONS:
            if isinstance(error, kind):
                return reason
        if isinstance(error, HfHubHTTPError):
            status = error.response.status_code
            return f"status {status}: {_STATUS.get(status, 'the hub is in trouble; run again later')}"
        cause = error.__cause__ or error.__context__
    said = str(error).partition("\n")[0] or type(error).__name__
    return f"{said}; check the connection; {_AGAIN}"


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of the library, which repeat what the one line says, and no bars but on a terminal."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    bars = sys.stderr.isatty() or constants.HF_HUB_DISABLE_PROGRESS_BARS is not None
    with nullcontext() if bars else disable_progress_bars():
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


@contextmanager
def _plain() -> Iterator[None]:
    """No transfers by xet, whose connections are its own and know no limits."""
    before = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = before


def _as_told(file: Path, told: Listed) -> bool:
    """Whether a file has the size and the hash that the hub tells; one that has not is deleted."""
    if file.is_file() and file.stat().st_size == told.size and _hash(file, told) == (told.sha256 or told.git_sha1):
        return True
    file.resolve().unlink(missing_ok=True)  # the content, which the name of the file may point to
    file.unlink(missing_ok=True)
    return False


def _hash(file: Path, told: Listed) -> str:
    """SHA-256 of a large file; of a small one the SHA-1 under which git keeps it."""
    with file.open("rb") as stream:
        if told.sha256:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        return hashlib.file_digest(stream, lambda: hashlib.sha1(b"blob %d\0" % told.size)).hexdigest()
