"""Ensembles between the user's store and the hub: published margins in, a store of expunge out and in again."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from numpy import ndarray

from expunge.ensembles.margins import check_margins, require_finite
from expunge.ensembles.plan import Plan
from expunge.ensembles.published.klom_models import INDICES, ORACLES
from expunge.ensembles.published.porting import PUBLICATIONS, Ported, find_publication, import_published
from expunge.ensembles.published.publication import Publication
from expunge.ensembles.stored_margins import require_fit
from expunge.errors import BadSetting, DamagedArtefact, ExpungeError, StoreError
from expunge.hub import Repository
from expunge.number_files import tensor_shapes
from expunge.store import MANIFEST, Artefact, Content, Store, user_store
from expunge.suites import Suite
from expunge.suites.derived import DERIVED, derived_sets

UNLEARNED = "unlearned"  # where results of methods lie
_NAME = re.compile(r"\w[\w.+-]*")  # what a folder of an artefact is called
_DIGEST = re.compile(r"[0-9a-f]{16}")  # what the folder of a suite is called


def fetch(
    suite: Suite,
    forget_sets: Sequence[str] | None = None,
    *,
    repository: str | None = None,
    revision: str = "main",
    endpoint: str | None = None,
    cache: Path | None = None,
    publication: Publication | None = None,
) -> list[Ported]:
    """Bring ensembles of ``suite`` from the hub into the user's store: margins only, never the published weights.

    The repository holds published margins in a layout that is known, or a store that :func:`push` uploaded, which is
    seen by its folders. What was downloaded before is not downloaded again; every file is checked against what the hub
    tells of it. The revision is first resolved to a commit, which is written down with the margins.

    Args:
        suite: whose ensembles.
        forget_sets: whose oracles are wanted; default: all there are.
        repository: ``OWNER/NAME``; default: where the suite's ensembles were published.
        revision: branch, tag or commit.
        endpoint: of the hub; default: ``HF_ENDPOINT``, else huggingface.co.
        cache: where downloads lie; default: the hub library's cache, see ``HF_HOME``.
        publication: what was published for a suite that :data:`PUBLICATIONS` does not name.
    """
    if publication is None and suite.name in PUBLICATIONS:
        publication = find_publication(suite.name)
    if repository is None and publication is None:
        raise BadSetting(f"no ensembles of {suite.name!r} were published; give a repository that holds some")
    place = Repository(repository or (publication.repository if publication else ""), endpoint, cache)
    commit = place.commit(revision)
    top = place.names(commit)
    source = f"{place.name}@{commit}"
    digests = sorted(name for name in top if _DIGEST.fullmatch(name))
    if digests:
        _require_digest(suite, digests, source)
        wanted = [Plan(suite, "oracle", suite.forget_sets[name]).key for name in forget_sets or ()]
        folder = place.download(commit, _store_patterns(suite, wanted if forget_sets is not None else None))
        return _import_store(suite, folder, wanted, source)
    if publication is None:
        raise StoreError(
            f"{source} holds no store of expunge: expected a folder {suite.digest} of suite {suite.name!r}"
        )
    folder = place.download(commit, _patterns(publication, forget_sets, top, source))
    return import_published(publication, folder, forget_sets, source=source)


def push(repository: str, suite: Suite, *, private: bool = False, endpoint: str | None = None) -> str:
    """Upload the finished ensembles of ``suite`` in the user's store to the hub; the address of the commit.

    That is margins and weights of pretrained models, oracles and subsets, and derived forget sets; not what methods
    left, which is quickly made again. The repository, a data set, is made where there is none. Each artefact is read
    and checked first.
    """
    store = user_store()
    root = store.root / suite.digest
    files = []
    for manifest in sorted(root.rglob(MANIFEST)):
        if manifest.relative_to(root).parts[0] == UNLEARNED:
            continue
        artefact = _read(store, manifest.parent)
        files += [str((artefact.folder / name).relative_to(root)) for name in [*_files(store, artefact), MANIFEST]]
    if not files:
        raise StoreError(
            f"{store.root} holds nothing of suite {suite.name!r} ({suite.digest}); build or fetch it first"
        )
    return Repository(repository, endpoint).upload(root, files, suite.digest, private=private)


def _read(store: Store, folder: Path) -> Artefact:
    artefact = store.read(folder.relative_to(store.root).as_posix())
    if artefact is None:
        raise StoreError(f"{folder} vanished while it was read; run the same command again")
    return artefact


def _require_digest(suite: Suite, digests: Sequence[str], source: str) -> None:
    if suite.digest not in digests:
        raise StoreError(
            f"{source} is a store of other suites ({', '.join(digests)}), expected {suite.digest} of {suite.name!r}: "
            "its models were trained on other data, another network or by another recipe"
        )


def _store_patterns(suite: Suite, oracles: Sequence[str] | None) -> list[str]:
    """The files of a store of expunge: all, or those of the pretrained models and of these keys."""
    if oracles is None:
        return [f"{suite.digest}/*"]
    return [f"{key}/*" for key in (Plan(suite, "pretrained").key, f"{suite.digest}/{DERIVED}", *oracles)]


def _patterns(
    publication: Publication, forget_sets: Sequence[str] | None, top: Sequence[str], source: str
) -> list[str]:
    """The files of margins and indices, and nothing else, in a repository with these folders at its top."""
    numbers = publication.numbers(None if forget_sets is None else list(forget_sets))
    if "margins" in top:
        base, end = f"margins/{publication.data}", f"{publication.network}/id_*_epoch_{publication.epoch}.npy"
        parts = [f"pretrain/{split}/{end}" for split in ("retain", "val")]
        for number in numbers:
            parts.append(f"pretrain/forget_{number}/{end}")
            parts += [f"oracle/forget_{number}/{split}/{end}" for split in ("retain", "forget", "val")]
        return [*(f"{base}/{part}" for part in parts), f"forget_sets/{publication.data}/forget_set_*.npy"]
    if "full_models" in top:
        data = publication.data.upper()
        parts = [f"full_models/{data}", *(f"{each.format(data)}/forget_set_{k}" for each in ORACLES for k in numbers)]
        indices = [f"{each.format(data)}/forget_set_*.npy" for each in INDICES]
        return [*(f"{part}/*_margins_all.pt" for part in parts), *indices]
    raise StoreError(
        f"{source} has no layout that is known: expected folders margins (EasyDUB), full_models (KLOM-models) or the "
        f"digest of a suite, got {', '.join(sorted(top)[:8]) or 'nothing'}"
    )


def _import_store(suite: Suite, folder: Path, wanted: Sequence[str], source: str) -> list[Ported]:
    """Copy the artefacts of ``suite`` below ``folder`` into the user's store; all are checked before any is."""
    there, here = Store(folder), user_store()
    artefacts = [
        _checked(suite, there, each.parent, source) for each in sorted((folder / suite.digest).rglob(MANIFEST))
    ]
    keys = [artefact.folder.relative_to(folder).as_posix() for artefact in artefacts]
    missing = [key for key in wanted if key not in keys]
    if missing or not keys:
        raise StoreError(f"{source} does not hold {', '.join(missing) or f'anything of {suite.digest}'}; leave it out")
    for key in keys:
        mine = here.manifest(key)  # damaged or not: what was imported may be imported again
        if mine is not None and "imported" not in mine["meta"]:
            raise StoreError(
                f"{here.root / key} was made here, and fetching would replace it; set EXPUNGE_STORE to another folder"
            )
    done = []
    for key, artefact in zip(keys, artefacts, strict=True):
        imported = {"from": source, "layout": "expunge"}
        here.write(key, _contents(there, artefact), {**artefact.meta, "imported": imported})
        done.append(Ported(key.partition("/")[2], artefact.meta.get("models", 0)))
    return [each for each in done if "/chunks/" not in each.ensemble]


def _checked(suite: Suite, store: Store, folder: Path, source: str) -> Artefact:
    """A fetched artefact, all of it sound: its hashes, its names, and every array and tensor of it."""
    key = folder.relative_to(store.root)
    try:
        if any(not _NAME.fullmatch(part) for part in key.parts):
            raise StoreError(f"{source} has a folder {str(key)[:80]!r}, which is no name of an ensemble")
        artefact = _read(store, folder)
        _require_sound(suite, store, artefact, f"{source}, {key.as_posix()}")
    except DamagedArtefact as error:
        raise error.advising(f"so it is at {source}, whose owner can mend it; nothing was imported") from None
    except ExpungeError as error:
        raise StoreError(f"{error}; nothing was imported") from None
    return artefact


def _require_sound(suite: Suite, store: Store, artefact: Artefact, what: str) -> None:
    """Refuse arrays and tensors that are not what their manifest and their suite say."""
    for name in _files(store, artefact):
        stem, _, kind = name.rpartition(".")
        if kind == "npy":
            artefact.array(stem)  # its header agrees with its size
        else:
            _require_weights(suite, artefact, stem, what)
    models = artefact.meta.get("models", 0)
    if type(models) is not int:
        raise StoreError(f"{what}: expected a number of models, got {str(models)[:40]!r}")
    if artefact.folder.name == DERIVED:
        derived_sets(suite, artefact)
    if "margins" in artefact and artefact.folder.relative_to(store.root).parts[1:2] != (UNLEARNED,):
        require_fit(suite, artefact, what)
        margins = artefact.array("margins")
        (check_margins if models > 1 else _require_finite)(margins, suite.data.width, what)


def _require_finite(margins: ndarray, _: int, what: str) -> None:
    require_finite(margins, what)


def _require_weights(suite: Suite, artefact: Artefact, name: str, what: str) -> None:
    """Refuse tensors that lie where those of the suite's network do, and are of another shape."""
    shapes = tensor_shapes(artefact.folder / f"{name}.safetensors", StoreError)
    models = artefact.meta.get("models")
    with torch.random.fork_rng(devices=[]):
        state = suite.network().state_dict()
    if not shapes or any(shape[:1] != (models,) for shape in shapes.values()):
        raise StoreError(f"{what}, {name}: expected tensors of {str(models)[:40]} models")
    for key in shapes.keys() & state.keys():
        if shapes[key][1:] != tuple(state[key].shape):
            raise StoreError(f"{what}, {name}: {key} has shape {shapes[key][1:]}, expected {tuple(state[key].shape)}")


def _files(store: Store, artefact: Artefact) -> list[str]:
    """Names of the files that the manifest of an artefact tells of: what else lies there is no part of it."""
    manifest = store.manifest(artefact.folder.relative_to(store.root).as_posix())
    return sorted(manifest["files"]) if manifest else []


def _contents(store: Store, artefact: Artefact) -> dict[str, Content]:
    contents: dict[str, Content] = {}
    for name in _files(store, artefact):
        stem, _, kind = name.rpartition(".")
        contents[stem] = artefact.array(stem) if kind == "npy" else artefact.tensors(stem)
    return contents
