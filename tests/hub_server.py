"""A hub on 127.0.0.1: enough of its HTTP protocol for ``huggingface_hub`` to list, download and upload for real.

``HubServer(folder)`` serves the repositories below ``folder``, laid out as on the hub: ``datasets/OWNER/NAME/...`` or
``models/OWNER/NAME/...``. Give its ``url`` as HF_ENDPOINT or ``endpoint=``. Files of :data:`LARGE` are stored as the
hub stores large ones: by SHA-256, behind a redirect to another host, with ranges. ``faults`` say what goes wrong.
"""

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

LARGE = (".npy", ".npz", ".pt", ".safetensors", ".parquet")
PAGE = 7  # entries of a listing in one answer: small, so that every test turns pages
BRANCH = "main"

Kind = Literal["status", "html", "json", "cut", "swap", "endless", "more", "drip"]


@dataclass
class Fault:
    """What happens to requests whose "METHOD /path" matches ``match``, ``times`` times.

    "status": that status and nothing else. "html": a page, as a proxy's, with status 200. "json": JSON of no use.
    "cut": the connection ends ``after`` bytes of the body. "swap": other bytes of the same length. "endless": each page
    of a listing tells of another. "more": ``after`` bytes more than were listed. "drip": byte after byte, ten a second.
    """

    match: str
    kind: Kind
    status: int = 404
    code: str = ""  # the hub's X-Error-Code, such as GatedRepo
    after: int = 0
    times: int = 1_000_000


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    range: str
    token: str


class HubServer:
    """Serves the repositories below ``folder`` until the end of a ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[Fault] = []
        self.asked: list[Asked] = []
        self.uploads: dict[str, bytes] = {}  # large files that no commit names yet, by SHA-256
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.storage = f"http://localhost:{self.port}"  # another host, as the hub's storage is

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def repo(self, name: str, kind: str = "datasets") -> Path:
        """The folder of a repository."""
        return self.folder / kind / name

    def commit(self, repo: Path) -> str:
        """What the hub would call the present state: 40 hexadecimal digits that change with any file."""
        state = hashlib.sha1()
        for file in _files(repo):
            seen = file.stat()
            state.update(
                f"{file.relative_to(repo).as_posix()}\0{_digest(file, seen.st_mtime_ns, seen.st_size)}\0".encode()
            )
        return state.hexdigest()

    def count(self, pattern: str) -> int:
        """How many requests matched."""
        return sum(bool(re.search(pattern, f"{each.method} {each.path}")) for each in self.asked)

    def fault(self, request: str) -> Fault | None:
        """The fault that meets this request; one of its times is used up."""
        with self.lock:
            for each in self.faults:
                if each.times > 0 and re.search(each.match, request):
                    each.times -= 1
                    return each
        return None


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        headers = self.headers
        asked = Asked(self.command, path, headers.get("Range", ""), headers.get("Authorization", ""))
        self.hub.asked.append(asked)
        self.body = self._read_body()
        self.broken = self.hub.fault(f"{self.command} {path}")
        if self.broken and self.broken.kind in ("status", "html", "json"):
            self._fail(self.broken)
            return
        for pattern, route in _ROUTES:
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                route(self, **found.groupdict())
                return
        self._send(404)

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _fail(self, fault: Fault) -> None:
        if fault.kind == "status":
            self._send(fault.status, headers={"X-Error-Code": fault.code} if fault.code else {})
        elif fault.kind == "html":
            self._send(200, b"<html><body>Please sign in</body></html>", {"Content-Type": "text/html"})
        else:
            self._json([{"what": "is this"}])

    def _send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.broken and self.broken.kind == "drip":
            self._drip(body)
        elif self.broken and self.broken.kind == "cut":
            self.wfile.write(body[: self.broken.after])
            self.close_connection = True
        elif self.broken and self.broken.kind == "swap":
            self.wfile.write(bytes(byte ^ 255 for byte in body))
        else:
            self.wfile.write(body)

    def _drip(self, body: bytes) -> None:
        for place in range(len(body)):
            self.wfile.write(body[place : place + 1])
            self.wfile.flush()
            time.sleep(0.1)

    def _json(self, value: Any, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _state(self, kind: str, repo: str, revision: str) -> tuple[Path, str] | None:
        """The folder and commit of a revision; None, and an answer, where there is none."""
        folder = self.hub.repo(repo, kind)
        if not folder.is_dir():
            self._send(404, headers={"X-Error-Code": "RepoNotFound"})
            return None
        commit = self.hub.commit(folder)
        if revision not in (BRANCH, commit):
            self._send(404, headers={"X-Error-Code": "RevisionNotFound"})
            return None
        return folder, commit

    def info(self, kind: str, repo: str, revision: str | None = None) -> None:
        if state := self._state(kind, repo, revision or BRANCH):
            self._json({"id": repo, "sha": state[1], "siblings": [], "tags": [], "private": False})

    def tree(self, kind: str, repo: str, revision: str, place: str | None = None) -> None:
        state = self._state(kind, repo, revision)
        if not state:
            return
        top = state[0] / (place or "")
        if not top.is_dir():
            self._send(404, headers={"X-Error-Code": "EntryNotFound"})
            return
        query = dict(pair.split("=") for pair in urlsplit(self.path).query.split("&") if pair)
        found = sorted(top.rglob("*") if query.get("recursive", "").lower() == "true" else top.iterdir())
        entries = [_entry(each, state[0]) for each in found]
        start = int(query.get("cursor", 0))
        headers = {}
        if self.broken and self.broken.kind == "endless":
            entries, start = entries * (start + 2), start
        if start + PAGE < len(entries):
            again = "&".join(f"{key}={value}" for key, value in {**query, "cursor": start + PAGE}.items())
            headers["Link"] = f'<{self.hub.url}{urlsplit(self.path).path}?{again}>; rel="next"'
        self._json(entries[start : start + PAGE], headers)

    def resolve(self, repo: str, revision: str, place: str, kind: str | None = None) -> None:
        state = self._state(kind or "models", repo, revision)
        if not state:
            return
        file = state[0] / place
        if not file.is_file():
            self._send(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": state[1]})
            return
        data = file.read_bytes()
        headers = {"X-Repo-Commit": state[1], "ETag": f'"{_git_sha1(data)}"'}
        if not file.name.endswith(LARGE):
            self._send(200, data, headers)
            return
        headers |= {"X-Linked-Etag": f'"{_sha256(data)}"', "X-Linked-Size": str(len(data))}
        query = f"{kind or 'models'}/{repo}/{place}"
        self._send(302, headers={**headers, "Location": f"{self.hub.storage}/storage/{query}"})

    def storage(self, place: str) -> None:
        """A large file, or the end of it: what storage behind the hub answers."""
        data = (self.hub.folder / place).read_bytes()
        if self.broken and self.broken.kind == "more":
            self._send(200, data + bytes(self.broken.after))
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is None:
            self._send(200, data)
            return
        start = int(asked.group(1))
        self._send(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})

    def create(self) -> None:
        wanted = json.loads(self.body)
        folder = self.hub.repo(f"{wanted['organization']}/{wanted['name']}", f"{wanted.get('type', 'model')}s")
        url = f"{self.hub.url}/{folder.relative_to(self.hub.folder).as_posix()}"
        if folder.is_dir():
            self._json({"error": "You already created this repo", "url": url}, status=409)
            return
        folder.mkdir(parents=True)
        (folder / ".gitattributes").write_text("*.npy filter=lfs\n")
        self._json({"url": url})

    def preupload(self, kind: str, repo: str, revision: str) -> None:
        state = self._state(kind, repo, revision)
        if not state:
            return
        files = []
        for each in json.loads(self.body)["files"]:
            mode = "lfs" if each["path"].endswith(LARGE) else "regular"
            there = state[0] / each["path"]
            known = {"oid": _entry(there, state[0])["oid"]} if there.is_file() and mode == "regular" else {}
            files.append({"path": each["path"], "uploadMode": mode, "shouldIgnore": False, **known})
        self._json({"files": files})

    def batch(self, repo: str, kind: str | None = None) -> None:
        held = {_sha256(file.read_bytes()) for file in _files(self.hub.repo(repo, kind or "models"))}
        objects = []
        for each in json.loads(self.body)["objects"]:
            href = f"{self.hub.storage}/upload/{each['oid']}"
            action = {} if each["oid"] in held else {"actions": {"upload": {"href": href}}}
            objects.append({**each, **action})
        self._json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        if _sha256(self.body) != oid:
            self._send(400)
            return
        self.hub.uploads[oid] = self.body
        self._send(200)

    def commit(self, kind: str, repo: str, revision: str) -> None:
        state = self._state(kind, repo, revision)
        if not state:
            return
        held = {_sha256(file.read_bytes()): file.read_bytes() for file in _files(state[0])} | self.hub.uploads
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                continue
            data = held[value["oid"]] if line["key"] == "lfsFile" else base64.b64decode(value["content"])
            file = state[0] / value["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        oid = self.hub.commit(state[0])
        self._json({"commitUrl": f"{self.hub.url}/{kind}/{repo}/commit/{oid}", "commitOid": oid})


_REPO = r"(?P<kind>models|datasets)/(?P<repo>[^/]+/[^/]+)"
_PAGE = r"(?:(?P<kind>datasets)/)?(?P<repo>[^/]+/[^/]+)"  # pages of models have no prefix
_ROUTES: list[tuple[str, Callable[..., None]]] = [
    (rf"GET /api/{_REPO}(?:/revision/(?P<revision>[^/]+))?", _Handler.info),
    (rf"GET /api/{_REPO}/tree/(?P<revision>[^/]+)(?:/(?P<place>.+))?", _Handler.tree),
    (rf"(?:GET|HEAD) /{_PAGE}/resolve/(?P<revision>[^/]+)/(?P<place>.+)", _Handler.resolve),
    (r"GET /storage/(?P<place>.+)", _Handler.storage),
    (r"POST /api/repos/create", _Handler.create),
    (rf"POST /api/{_REPO}/preupload/(?P<revision>[^/]+)", _Handler.preupload),
    (rf"POST /{_PAGE}\.git/info/lfs/objects/batch", _Handler.batch),
    (r"PUT /upload/(?P<oid>[0-9a-f]+)", _Handler.upload),
    (rf"POST /api/{_REPO}/commit/(?P<revision>[^/]+)", _Handler.commit),
]


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.is_file())


def _entry(place: Path, repo: Path) -> dict[str, Any]:
    """One line of a listing."""
    path = place.relative_to(repo).as_posix()
    if place.is_dir():
        return {"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0}
    data = place.read_bytes()
    if not place.name.endswith(LARGE):
        return {"type": "file", "path": path, "oid": _git_sha1(data), "size": len(data)}
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{_sha256(data)}\nsize {len(data)}\n".encode()
    large = {"oid": _sha256(data), "size": len(data), "pointerSize": len(pointer)}
    return {"type": "file", "path": path, "oid": _git_sha1(pointer), "size": len(data), "lfs": large}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@cache
def _digest(file: Path, changed_ns: int, size: int) -> str:
    """SHA-256 of a file, hashed again only when it was changed: every request asks for the state of its repository."""
    return _sha256(file.read_bytes())


def _git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
