"""Files on the hub, against a real server on 127.0.0.1 and the real library."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from expunge.errors import BadSetting, HubError
from expunge.hub import Repository
from tests.hub_server import Fault, HubServer, Kind

REPO = "owner/data"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    repo = tmp_path / "hub" / "datasets" / REPO
    for number, place in enumerate(("margins/a/0.npy", "margins/a/1.npy", "margins/b/0.npy", "models/0.npy")):
        (repo / place).parent.mkdir(parents=True, exist_ok=True)
        np.save(repo / place, np.arange(300.0) + number)
    (repo / "margins/note.txt").write_text("small")
    with HubServer(tmp_path / "hub") as server:
        yield server


@pytest.fixture
def repository(hub: HubServer, tmp_path: Path) -> Repository:
    return Repository(REPO, hub.url, tmp_path / "cache")


def names(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_only_what_matches_is_downloaded_and_equals_what_the_hub_has(hub: HubServer, repository: Repository) -> None:
    folder = repository.download(repository.commit(), ["margins/a/*.npy", "margins/*.txt", "nowhere/*"])
    assert names(folder) == ["margins/a/0.npy", "margins/a/1.npy", "margins/note.txt"]
    for name in names(folder):
        assert (folder / name).read_bytes() == (hub.repo(REPO) / name).read_bytes()
    assert hub.count("storage") == 2


def test_the_listing_turns_pages_and_tells_hashes(hub: HubServer, repository: Repository) -> None:
    for number in range(20):
        (hub.repo(REPO) / f"margins/{number}.txt").write_text(str(number))
    listed = repository.listing(repository.commit(), "margins/*")
    assert len(listed) == 24
    assert [each.path for each in listed if each.sha256] == ["margins/a/0.npy", "margins/a/1.npy", "margins/b/0.npy"]
    assert repository.names(repository.commit()) == ["margins", "models"]


def test_a_second_download_asks_for_no_file_again(hub: HubServer, repository: Repository) -> None:
    commit = repository.commit()
    repository.download(commit, ["margins/*"])
    hub.asked.clear()
    repository.download(commit, ["margins/*"])
    assert hub.count("storage|resolve") == 0


def test_a_cut_download_goes_on_where_it_was_cut(hub: HubServer, repository: Repository) -> None:
    large = np.random.default_rng(0).bytes(23 << 20)
    (hub.repo(REPO) / "large.npy").write_bytes(large)
    hub.faults.append(Fault("storage/.*large", "cut", after=12 << 20, times=1))
    folder = repository.download(repository.commit(), ["large.npy"])
    assert (folder / "large.npy").read_bytes() == large
    assert [each.range for each in hub.asked if each.path.startswith("/storage")] == ["", f"bytes={10 << 20}-"]


def test_a_dead_line_is_told_and_the_next_run_completes_what_is_missing(
    hub: HubServer, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.faults.append(Fault("storage/.*b/0", "cut", after=9))
    with pytest.raises(
        HubError, match=r"cannot download hub .*owner/data: peer closed.*run the same command"
    ) as caught:
        repository.download(repository.commit(), ["margins/*"])
    assert "\n" not in str(caught.value)
    complete = {
        file.parent.name + "/" + file.name for file in (tmp_path / "cache").rglob("snapshots/*/margins/*/*.npy")
    }
    hub.faults.clear()
    hub.asked.clear()
    folder = repository.download(repository.commit(), ["margins/*"])
    fetched = {each.path[-7:] for each in hub.asked if each.path.startswith("/storage")}
    assert fetched == {"a/0.npy", "a/1.npy", "b/0.npy"} - complete
    assert "b/0.npy" in fetched
    assert len(names(folder)) == 4


@pytest.mark.parametrize("kind", ["swap", "html"])
def test_other_bytes_than_the_hub_tells_are_deleted_and_told(
    hub: HubServer, repository: Repository, kind: Kind
) -> None:
    hub.faults.append(Fault("storage/.*a/0", kind, times=1))
    with pytest.raises(HubError, match=r"run the same command again") as caught:
        repository.download(repository.commit(), ["margins/*"])
    assert "\n" not in str(caught.value)
    folder = repository.download(repository.commit(), ["margins/*"])  # what was wrong is not taken for complete
    assert (folder / "margins/a/0.npy").read_bytes() == (hub.repo(REPO) / "margins/a/0.npy").read_bytes()


def test_a_cached_file_that_was_damaged_is_found_and_fetched_again(hub: HubServer, repository: Repository) -> None:
    commit = repository.commit()
    file = repository.download(commit, ["margins/*"]) / "margins/a/1.npy"
    good = file.read_bytes()
    file.resolve().write_bytes(good[:-1] + b"?")
    with pytest.raises(HubError, match=r"margins/a/1\.npy is not what the hub tells, and deleted"):
        repository.download(commit, ["margins/*"])
    repository.download(commit, ["margins/*"])
    assert file.read_bytes() == good


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("GET /api", "status", 404, code="RepoNotFound"), "there is none of this name, or it is private"),
        (Fault("GET /api", "status", 401), "there is none of this name, or it is private; check the name, or log in"),
        (Fault("GET /api", "status", 403, code="GatedRepo"), "access must be asked for on its page"),
        (Fault("GET /api", "status", 403), "status 403: your token may not do this"),
        (Fault("GET /api", "status", 500), "status 500: the hub is in trouble"),
        (Fault("GET /api", "html"), "the answer is not that of a hub; check HF_ENDPOINT"),
        (Fault("GET /api", "json"), "the answer is not that of a hub; check HF_ENDPOINT"),
        (Fault("GET /api", "cut", after=0), "check the connection"),
        (Fault("/tree/", "html"), "cannot list .* the answer is not that of a hub"),
        (Fault("/tree/", "json"), "cannot list .* the answer is not that of a hub"),
        (Fault("/tree/", "status", 403, code="GatedRepo"), "access must be asked for"),
        (Fault("HEAD .*/resolve/", "html"), "cannot download .* the answer is not that of a hub"),
        (Fault("HEAD .*/resolve/", "status", 401), "cannot download .* there is none of this name, or it is private"),
        (Fault("HEAD .*/resolve/", "status", 403, code="GatedRepo"), "cannot download .* access must be asked for"),
        (Fault("GET /storage/", "status", 404), "cannot download .* status 404"),
    ],
)
def test_every_refusal_is_one_line(hub: HubServer, repository: Repository, fault: Fault, said: str) -> None:
    hub.faults.append(fault)
    with pytest.raises(HubError, match=said) as caught:
        repository.download(repository.commit(), ["margins/*"])
    assert "\n" not in str(caught.value)
    assert REPO in str(caught.value)


def test_an_unknown_revision_is_told(repository: Repository) -> None:
    with pytest.raises(HubError, match="it has no such revision"):
        repository.commit("v9")


def test_a_hub_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"cannot find hub http://127\.0\.0\.1:9.*refused.*check the connection"):
        Repository(REPO, "http://127.0.0.1:9", tmp_path).commit()


@pytest.mark.parametrize("name", ["data", "a/b/c", "", "../x"])
def test_a_repository_has_an_owner_and_a_name(name: str) -> None:
    with pytest.raises(BadSetting, match="expected a repository as OWNER/NAME"):
        Repository(name)


def test_a_listed_path_that_climbs_out_is_refused(
    hub: HubServer, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def climbing(place: Path, repo: Path) -> dict[str, object]:
        return {"type": "file", "path": "margins/../../../x.npy", "oid": "0" * 40, "size": 1}

    monkeypatch.setattr("tests.hub_server._entry", climbing)
    with pytest.raises(HubError, match=r"'margins/\.\./\.\./\.\./x\.npy', which climbs out of its folder"):
        repository.download(repository.commit(), ["margins/*"])
    assert hub.count("resolve") == 0


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the library's, of itself
def test_what_is_uploaded_comes_down_again(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    mine = tmp_path / "mine"
    (mine / "in").mkdir(parents=True)
    np.save(mine / "in" / "large[1].npy", np.arange(9))
    (mine / "small.json").write_text("{}")
    (mine / "secret.json").write_text("not to be sent")
    repository = Repository("me/new", hub.url, tmp_path / "cache")
    told = repository.upload(mine, ["in/large[1].npy", "small.json"], "digest", private=True)
    assert told.startswith(f"{hub.url}/datasets/me/new/commit/")
    folder = repository.download(repository.commit(), ["digest/*"])
    assert names(folder) == ["digest/in/large[1].npy", "digest/small.json"]
    assert (folder / "digest/in/large[1].npy").read_bytes() == (mine / "in/large[1].npy").read_bytes()
    repository.upload(mine, ["in/large[1].npy", "small.json"], "digest")
    assert hub.count("PUT") == 1  # what is there is not sent again


@pytest.mark.parametrize(
    ("status", "said"), [(403, "your token may not do this"), (401, "none of this name, or it is private")]
)
def test_an_upload_that_may_not_be_is_told(
    hub: HubServer, repository: Repository, tmp_path: Path, status: int, said: str
) -> None:
    hub.faults.append(Fault("POST .*/preupload/", "status", status))
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(HubError, match=said) as caught:
        repository.upload(tmp_path, ["x.json"], "place")
    assert "\n" not in str(caught.value)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience, and few files of a listing."""
    monkeypatch.setenv("EXPUNGE_HUB_SECONDS", "1.5")
    monkeypatch.setattr("expunge.hub.LISTED", 50)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (Fault("/tree/", "endless"), r"lists more than 50 files"),
        (Fault("/tree/", "drip"), r"took longer than 2 s .* give it more time with EXPUNGE_HUB_SECONDS=\.\.\."),
        (Fault("storage/.*a/0", "drip"), r"took longer than 2 s"),
        (Fault("storage/.*a/0", "more", after=50 << 20), r"sends more than the 2,528 bytes that were to come"),
    ],
)
def test_a_hub_that_does_not_end_is_ended(
    fault: Fault, line: str, hub: HubServer, repository: Repository, tmp_path: Path
) -> None:
    hub.faults.append(fault)
    started = time.monotonic()
    with pytest.raises(HubError, match=line) as caught:
        repository.download(repository.commit(), ["margins/*"])
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 60
    assert sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file()) < 100_000


def test_more_bytes_than_are_allowed_are_not_asked_for(
    hub: HubServer, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPUNGE_HUB_BYTES", "5000")
    with pytest.raises(HubError, match=r"lists 7,589 bytes to download, expected at most 5,000; .*EXPUNGE_HUB_BYTES"):
        repository.download(repository.commit(), ["margins/*"])
    assert hub.count("resolve|storage") == 0
    monkeypatch.setenv("EXPUNGE_HUB_BYTES", "many")
    with pytest.raises(BadSetting, match="EXPUNGE_HUB_BYTES='many': expected a number above 0"):
        repository.download(repository.commit(), ["margins/*"])


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter, for the library reads its environment once."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-c", code], env={**kept, **environment}, capture_output=True, text=True, timeout=60
    )


DOWNLOAD = """
from expunge.errors import HubError
from expunge.hub import Repository
try:
    repository = Repository("owner/data")
    print(repository.download(repository.commit(), ["margins/*"]))
except HubError as error:
    print(error)
"""


def test_the_environment_says_which_hub_and_where_downloads_lie(hub: HubServer, tmp_path: Path) -> None:
    done = run(DOWNLOAD, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home"))
    assert done.stdout.startswith(str(tmp_path / "home"))
    assert done.stderr == ""  # no bars and no warnings where there is no terminal
    assert len(names(Path(done.stdout.strip()))) == 4


def test_offline_is_told_in_one_line(hub: HubServer, tmp_path: Path) -> None:
    done = run(DOWNLOAD, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home"), HF_HUB_OFFLINE="1")
    assert done.stdout.count("\n") == 1
    assert "HF_HUB_OFFLINE is set; unset it, or import a folder" in done.stdout
    assert hub.asked == []
