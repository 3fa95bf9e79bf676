"""Files of public data sets: from the hub where it can be reached, never from outside the folder they belong in."""

import glob
import hashlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import getproxies

from expunge.errors import BadData, HubError
from expunge.outside import opened


def fetch(repo: str, revision: str, files: Sequence[str]) -> list[Path]:
    """The files of a data set at a commit, downloaded unless the hub's cache has them, and checked by its hashes."""
    from expunge.hub import Repository

    folder = Repository(repo, endpoint=_endpoint()).download(revision, [glob.escape(file) for file in files])
    return [folder / file for file in files]


def listing(repo: str, revision: str) -> tuple[str, list[str]]:
    """The commit that a revision of a data set stands for, and the paths of all its files."""
    from expunge.hub import Repository

    repository = Repository(repo, endpoint=_endpoint())
    commit = repository.commit(revision)
    return commit, [inside(each.path, f"data set {repo}") for each in repository.listing(commit, "*")]


def inside(path: str, what: str) -> str:
    """``path``, refused where it climbs out of the folder that it is to lie in."""
    parts = PurePosixPath(path.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in path or not parts.parts:
        raise BadData(f"{what}: the path {path!r} leads out of its folder and was refused")
    return path


def require_hash(file: Path, expected: str) -> None:
    """Refuse a file whose hash is not ``algorithm:digest``."""
    algorithm, _, digest = expected.partition(":")
    with opened(file) as stream:
        found = hashlib.file_digest(stream, algorithm).hexdigest()
    if found != digest:
        raise BadData(
            f"{file} has {algorithm} {found[:12]}..., expected {digest[:12]}...: it is damaged or another version; "
            "delete it, fetch it again"
        )


def _endpoint() -> str:
    """The address of the hub, refused at once where nobody answers: its client would try for half a minute."""
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE

    endpoint = os.environ.get("HF_ENDPOINT") or ENDPOINT
    url = urlsplit(endpoint)
    if HF_HUB_OFFLINE or url.hostname is None or url.scheme in getproxies():
        return endpoint  # the client says so itself, or a proxy stands between
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        socket.create_connection((url.hostname, port), timeout=10).close()
    except (OSError, ValueError) as error:
        raise HubError(f"hub {endpoint} cannot be reached ({error})") from None
    return endpoint
