"""Ensembles through the hub: published ones in, a store out and in again, against a server on 127.0.0.1."""

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from safetensors.torch import save

from expunge.ensembles import Plan, read_margins
from expunge.ensembles.published import Publication
from expunge.ensembles.published.porting import Ported
from expunge.ensembles.published.sharing import fetch, push
from expunge.errors import BadSetting, HubError, StoreError
from expunge.store import MANIFEST, at_store, user_store
from expunge.suites import Suite
from tests.hub_server import Fault, HubServer
from tests.publications import OWNER, small_margins, small_publication, write_by_hand, write_klom_models


@pytest.fixture(scope="module")
def publication() -> Publication:
    return small_publication()


@pytest.fixture(scope="module")
def margins(publication: Publication) -> dict[int, ndarray]:
    return small_margins(publication)


@pytest.fixture(scope="module", autouse=True)
def plain_transfer() -> Iterator[None]:
    """Large files go as the server of the tests sends them, not by the hub's storage of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield


@pytest.fixture
def hub(tmp_path: Path, margins: dict[int, ndarray]) -> Iterator[HubServer]:
    """A hub that holds the published folder, with weights and logits that nobody asks for."""
    publish(tmp_path / "hub", margins)
    with HubServer(tmp_path / "hub") as server:
        yield server


def publish(hub: Path, margins: dict[int, ndarray]) -> None:
    repo = write_by_hand(hub / "datasets" / OWNER, margins)
    for name in ("models/cifar10/pretrain/resnet9/id_0_epoch_23.pt", "logits/cifar10/id_0_epoch_23.npy"):
        (repo / name).parent.mkdir(parents=True)
        (repo / name).write_bytes(b"large")


def get(publication: Publication, hub: HubServer, sets: list[str] | None = None, **given: object) -> list[Ported]:
    place = hub.folder.parent / "cache"
    return fetch(publication.suite, sets, publication=publication, endpoint=hub.url, cache=place, **given)  # type: ignore[arg-type]


def stored(publication: Publication, number: int) -> ndarray:
    suite = publication.suite
    plan = Plan(suite, "oracle", publication.forget(number)) if number else Plan(suite, "pretrained")
    return read_margins(plan, 0, 8).values


def nothing_is_stored() -> bool:
    return not list(user_store().root.rglob("margins.npy"))


def test_published_margins_are_fetched_and_nothing_else(
    publication: Publication, margins: dict[int, ndarray], hub: HubServer
) -> None:
    assert get(publication, hub)[0] == Ported("pretrained", 8)
    for number, values in margins.items():
        np.testing.assert_array_equal(stored(publication, number), values)
    assert hub.count("resolve/.*/(models|logits)") == 0
    meta = user_store().read(Plan(publication.suite, "pretrained").key).meta  # type: ignore[union-attr]
    assert meta["imported"] == {"from": f"{OWNER}@{hub.commit(hub.repo(OWNER))}", "layout": "EasyDUB"}


def test_only_the_sets_asked_for_are_fetched(publication: Publication, hub: HubServer) -> None:
    assert [each.ensemble for each in get(publication, hub, ["set-10"])] == ["pretrained", "oracle set-10"]
    assert hub.count("storage/.*/oracle/forget_10/") == 3 * 8
    assert hub.count("storage/.*/oracle/forget_[12]/") == 0


def test_a_second_fetch_downloads_nothing(
    publication: Publication, margins: dict[int, ndarray], hub: HubServer, tmp_path: Path
) -> None:
    get(publication, hub, ["set-2"])
    hub.asked.clear()
    with at_store(tmp_path / "other"):
        get(publication, hub, ["set-2"])
        np.testing.assert_array_equal(stored(publication, 2), margins[2])
    assert hub.count("storage|resolve") == 0


def test_klom_models_is_fetched_by_its_stacks(
    publication: Publication, margins: dict[int, ndarray], hub: HubServer
) -> None:
    write_klom_models(hub.repo("owner/stacks"), margins)
    get(publication, hub, repository="owner/stacks")
    np.testing.assert_array_equal(stored(publication, 10), margins[10])


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("storage/.*oracle/forget_2/val", "swap"), "and 7 more are not what the hub tells, and deleted"),
        (Fault("storage/.*oracle/forget_2/val", "html"), "run the same command again"),
        (Fault("storage/.*oracle/forget_2/val", "status", 403), "403"),
        (Fault("GET /api", "status", 401), "private"),
    ],
)
def test_what_goes_wrong_leaves_nothing_half_imported(
    publication: Publication, hub: HubServer, fault: Fault, said: str
) -> None:
    hub.faults.append(fault)
    with pytest.raises(HubError, match=said) as caught:
        get(publication, hub, ["set-2"])
    assert "\n" not in str(caught.value)
    assert nothing_is_stored()
    hub.faults.clear()
    get(publication, hub, ["set-2"])
    assert not nothing_is_stored()


def test_a_damaged_model_at_the_source_is_refused(publication: Publication, hub: HubServer) -> None:
    """What the hub tells agrees with what it sends, and is no margins."""
    file = hub.repo(OWNER) / "margins/cifar10/oracle/forget_2/val/resnet9/id_3_epoch_23.npy"
    file.write_bytes(b"<html>")
    with pytest.raises(StoreError, match=r"id_3_epoch_23\.npy is no \.npy, but text"):
        get(publication, hub, ["set-2"])
    assert nothing_is_stored()


def test_a_repository_of_something_else_is_told(publication: Publication, hub: HubServer) -> None:
    (hub.repo("owner/pictures") / "cats").mkdir(parents=True)
    (hub.repo("owner/pictures") / "cats/1.txt").write_text("cat")
    with pytest.raises(StoreError, match=r"has no layout that is known: .* got cats$"):
        get(publication, hub, repository="owner/pictures")


def test_a_suite_without_published_ensembles_needs_a_repository(suite: Suite, hub: HubServer) -> None:
    with pytest.raises(BadSetting, match="no ensembles of 'digits' were published; give a repository"):
        fetch(suite)
    with pytest.raises(
        StoreError, match="holds no store of expunge: expected a folder 990e6b7af336da19 of suite 'digits'"
    ):
        fetch(suite, repository=OWNER, endpoint=hub.url, cache=hub.folder.parent / "cache")


pushes = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the library's, of itself


@pytest.fixture(scope="module")
def sent(publication: Publication, margins: dict[int, ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder at a hub of a store that was fetched, filled and pushed."""
    folder, suite = tmp_path_factory.mktemp("sent"), publication.suite
    publish(folder / "hub", margins)
    with HubServer(folder / "hub") as hub, at_store(folder / "store"):
        get(publication, hub)
        store = user_store()
        store.write(f"{suite.digest}/pretrained/chunks/0000", {"weights": {"w": torch.ones(2)}}, {"models": 2})
        store.write(f"{suite.digest}/unlearned/0f/0000-0002", {"margins": np.ones(2)}, {})
        (store.root / suite.digest / "pretrained/half.tmp").write_text("no artefact's")
        told = push("me/store", suite, endpoint=hub.url)
        assert told.startswith(f"{hub.url}/datasets/me/store/commit/")
        return hub.repo("me/store")


@pytest.fixture
def pushed(publication: Publication, hub: HubServer, sent: Path) -> Path:
    """The folder at the hub of a store that was pushed."""
    shutil.copytree(sent, hub.repo("me/store"))
    return hub.repo("me/store") / publication.suite.digest


@pushes
def test_a_pushed_store_is_fetched_again(
    publication: Publication, margins: dict[int, ndarray], hub: HubServer, pushed: Path, tmp_path: Path
) -> None:
    sent = {file.relative_to(pushed).as_posix() for file in pushed.rglob("*") if file.is_file()}
    assert {"pretrained/margins.npy", "pretrained/manifest.json", "pretrained/chunks/0000/weights.safetensors"} <= sent
    assert not [name for name in sent if name.startswith("unlearned") or name.endswith(".tmp")]
    with at_store(tmp_path / "other"):
        done = get(publication, hub, repository="me/store")
        assert sorted(each.ensemble.partition("/")[0] for each in done) == ["oracles"] * 3 + ["pretrained"]
        for number, values in margins.items():
            np.testing.assert_array_equal(stored(publication, number), values)
        chunk = user_store().read(f"{publication.suite.digest}/pretrained/chunks/0000")
        assert chunk is not None
        assert chunk.tensors("weights")["w"].sum() == 2


@pushes
def test_one_set_of_a_pushed_store_is_fetched(
    publication: Publication, margins: dict[int, ndarray], hub: HubServer, pushed: Path, tmp_path: Path
) -> None:
    with at_store(tmp_path / "other"):
        assert len(get(publication, hub, ["set-2"], repository="me/store")) == 2
        np.testing.assert_array_equal(stored(publication, 2), margins[2])
    assert hub.count("storage/datasets/me/store/.*set-10") == 0


@pushes
def test_a_set_that_was_not_pushed_is_told(
    publication: Publication, hub: HubServer, pushed: Path, tmp_path: Path
) -> None:
    key = publication.forget(2).key
    for file in (pushed / "oracles" / key).iterdir():
        file.unlink()
    with at_store(tmp_path / "other"), pytest.raises(StoreError, match=f"does not hold .*oracles/{key}; leave it out"):
        get(publication, hub, ["set-2"], repository="me/store")


@pushes
def test_a_store_of_another_suite_is_refused(
    publication: Publication, suite: Suite, hub: HubServer, pushed: Path
) -> None:
    with pytest.raises(
        StoreError, match=f"is a store of other suites \\({publication.suite.digest}\\), expected 990e6b7a"
    ):
        fetch(suite, repository="me/store", endpoint=hub.url, cache=hub.folder.parent / "cache")


def forge(manifest: Path, **changes: object) -> None:
    """Change a manifest and its own hash with it, as somebody with bad intent would."""
    body = json.loads(manifest.read_text())
    del body["sha256"]
    body |= changes
    body["sha256"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    manifest.write_text(json.dumps(body))


@pushes
@pytest.mark.parametrize("name", ["../../../secret.npy", "/etc/passwd", "..", "a/b.npy", "manifest.json"])
def test_a_manifest_that_climbs_out_of_its_folder_is_refused(
    publication: Publication, hub: HubServer, pushed: Path, tmp_path: Path, name: str
) -> None:
    forge(pushed / "pretrained" / MANIFEST, files={name: "0" * 64})
    with at_store(tmp_path / "other"):
        with pytest.raises(StoreError, match=r"which is no file beside it; refused.*; nothing was imported"):
            get(publication, hub, repository="me/store")
        assert nothing_is_stored()


@pushes
def test_a_store_of_another_schema_is_refused(
    publication: Publication, hub: HubServer, pushed: Path, tmp_path: Path
) -> None:
    forge(pushed / "pretrained" / MANIFEST, schema=99)
    with at_store(tmp_path / "other"):
        with pytest.raises(StoreError, match="has schema 99, this expunge reads 1") as caught:
            get(publication, hub, repository="me/store")
        assert "\n" not in str(caught.value)
        assert nothing_is_stored()


@pushes
@pytest.mark.parametrize("what", ["bytes", "gone", "manifest"])
def test_a_damaged_store_at_the_hub_is_refused(
    publication: Publication, hub: HubServer, pushed: Path, tmp_path: Path, what: str
) -> None:
    file = pushed / "pretrained" / ("manifest.json" if what == "manifest" else "margins.npy")
    if what == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-9] + b"some bytes")
    with at_store(tmp_path / "other"):
        with pytest.raises(StoreError, match=r"does not have the SHA-256|is missing|is no manifest") as caught:
            get(publication, hub, repository="me/store")
        assert "\n" not in str(caught.value)
        assert nothing_is_stored()


@pushes
def test_what_was_made_here_is_not_replaced(
    publication: Publication, hub: HubServer, pushed: Path, tmp_path: Path
) -> None:
    with at_store(tmp_path / "other"):
        plan = Plan(publication.suite, "oracle", publication.forget(2))
        user_store().write(plan.key, {"margins": np.ones((2, 60), np.float32)}, {"models": 2})
        with pytest.raises(StoreError, match="was made here, and fetching would replace it"):
            get(publication, hub, repository="me/store")


def rewritten(folder: Path, name: str, content: bytes, **meta: object) -> None:
    """Another file in a pushed artefact, and a manifest that agrees with it."""
    (folder / name).write_bytes(content)
    body = json.loads((folder / MANIFEST).read_text())
    forge(
        folder / MANIFEST,
        files={**body["files"], name: hashlib.sha256(content).hexdigest()},
        meta={**body["meta"], **meta},
    )


def objects() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([{}]), allow_pickle=True)
    return stream.getvalue()


def narrow() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ones((8, 7), np.float32))
    return stream.getvalue()


@pushes
@pytest.mark.parametrize(
    ("name", "content", "meta", "said"),
    [
        ("margins.npy", objects(), {}, r"margins\.npy is no \.npy of numbers"),
        ("margins.npy", narrow(), {}, r"expected shape \(8, 60\), got \(8, 7\)"),
        ("margins.npy", None, {"models": -1}, "expected a number of models, got '-1'"),
        ("margins.npy", None, {"models": [8]}, "expected a number of models"),
        ("margins.npy", None, {"models": 10**30}, "expected a number of models"),
        ("weights.safetensors", b"\xff" * 90, {}, r"weights\.safetensors is no \.safetensors"),
        ("weights.safetensors", save({"weight": torch.ones(8, 9)}), {}, r"weight has shape \(9,\), expected \(3, 4\)"),
        ("weights.safetensors", save({"weight": torch.ones(2, 3, 4)}), {}, "expected tensors of 8 models"),
    ],
)
def test_a_hostile_store_is_one_line_and_nothing_of_it_is_written(
    publication: Publication,
    hub: HubServer,
    pushed: Path,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    meta: dict[str, object],
    said: str,
) -> None:
    """What is wrong comes last in the order of names: all others are sound."""
    place = pushed / "pretrained"
    rewritten(place, name, (place / name).read_bytes() if content is None else content, **meta)
    with at_store(tmp_path / "other"):
        with pytest.raises(StoreError, match=f"{said}.*nothing was imported$") as caught:
            get(publication, hub, repository="me/store")
        assert "\n" not in str(caught.value)
        assert nothing_is_stored()


@pushes
@pytest.mark.parametrize("changes", [{"meta": []}, {"files": ["margins.npy"]}, {"meta": "x", "files": None}])
def test_a_manifest_of_lists_for_maps_is_one_line(
    publication: Publication, hub: HubServer, pushed: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    forge(pushed / "pretrained" / MANIFEST, **changes)
    with at_store(tmp_path / "other"):
        with pytest.raises(StoreError, match=r"is no manifest; .*nothing was imported"):
            get(publication, hub, repository="me/store")
        assert nothing_is_stored()


@pushes
def test_a_file_that_no_manifest_tells_of_is_left_where_it_is(
    publication: Publication, hub: HubServer, pushed: Path, tmp_path: Path
) -> None:
    (pushed / "pretrained" / "more.npy").write_bytes(objects())
    with at_store(tmp_path / "other"):
        get(publication, hub, repository="me/store")
        assert not list(user_store().root.rglob("more.npy"))


def test_nothing_to_push_is_told(publication: Publication, hub: HubServer) -> None:
    with pytest.raises(StoreError, match="holds nothing of suite 'small'"):
        push("me/store", publication.suite, endpoint=hub.url)
    assert hub.asked == []


def test_a_damaged_artefact_is_not_pushed(publication: Publication, hub: HubServer) -> None:
    get(publication, hub, ["set-2"])
    file = user_store().root / Plan(publication.suite, "pretrained").key / "margins.npy"
    file.write_bytes(file.read_bytes() + b"?")
    hub.asked.clear()
    with pytest.raises(StoreError, match="does not have the SHA-256"):
        push("me/store", publication.suite, endpoint=hub.url)
    assert hub.asked == []
