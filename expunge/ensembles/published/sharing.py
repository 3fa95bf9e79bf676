"""Ensembles between the user's store and the hub: published margins in, a store of expunge out and in again."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from expunge.ensembles.margins import check_margins
from expunge.ensembles.plan import Plan
from expunge.ensembles.published.klom_models import INDICES, ORACLES
from expunge.ensembles.published.porting import PUBLICATIONS, Ported, find_publication, import_published
from expunge.ensembles.published.publication import Publication
from expunge.errors import BadSetting, StoreError
from expunge.hub import Repository
from expunge.store import MANIFEST, Artefact, Content, Store, user_store
from expunge.suites import Suite
from expunge.suites.suite import DERIVED

UNLEARNED = "unlearned"  # where results of methods lie
_PLAIN = re.compile(r"[\w-]+\.(npy|safetensors)")  # what a file of an artefact is called
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
        files += [
            str((artefact.folder / name).relative_to(root))
            for name in [*json.loads(manifest.read_text())["files"], MANIFEST]
        ]
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
    manifests = sorted((folder / suite.digest).rglob(MANIFEST))
    for manifest in manifests:
        _require_plain(manifest, source)
    artefacts = [_read(there, manifest.parent) for manifest in manifests]
    for artefact in artefacts:
        _require_sound(suite, artefact, source)
    keys = [artefact.folder.relative_to(folder).as_posix() for artefact in artefacts]
    missing = [key for key in wanted if key not in keys]
    if missing or not keys:
        raise StoreError(f"{source} does not hold {', '.join(missing) or f'anything of {suite.digest}'}; leave it out")
    for key in keys:
        mine = here.read(key)
        if mine is not None and "imported" not in mine.meta:
            raise StoreError(
                f"{here.root / key} was made here, and fetching would replace it; set EXPUNGE_STORE to another folder"
            )
    done = []
    for key, artefact in zip(keys, artefacts, strict=True):
        imported = {"from": source, "layout": "expunge"}
        here.write(key, _contents(artefact), {**artefact.meta, "imported": imported})
        done.append(Ported(key.partition("/")[2], int(artefact.meta.get("models", 0))))
    return [each for each in done if "/chunks/" not in each.ensemble]


def _require_sound(suite: Suite, artefact: Artefact, source: str) -> None:
    """Refuse margins that are not what their manifest and their suite say."""
    if "margins" not in artefact:
        return
    what = f"{source}, {artefact.folder.name}"
    try:
        margins = artefact.array("margins")
    except (ValueError, OSError) as error:
        raise StoreError(f"{what}: margins.npy is no array of numbers ({type(error).__name__})") from None
    if len(margins) != artefact.meta.get("models"):
        raise StoreError(f"{what}: the manifest says {artefact.meta.get('models')} models, there are {len(margins)}")
    check_margins(margins, suite.data.width, what)


def _contents(artefact: Artefact) -> dict[str, Content]:
    contents: dict[str, Content] = {file.stem: artefact.array(file.stem) for file in artefact.folder.glob("*.npy")}
    contents |= {file.stem: artefact.tensors(file.stem) for file in artefact.folder.glob("*.safetensors")}
    return contents


def _require_plain(manifest: Path, source: str) -> None:
    """Refuse a manifest whose files lie anywhere but beside it, before any of them is opened."""
    try:
        files = json.loads(manifest.read_text())["files"]
        names = [str(name) for name in files]
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{source}: {manifest.parent.name}/{MANIFEST} is no manifest; nothing was imported") from None
    for name in names:
        if not _PLAIN.fullmatch(name):
            raise StoreError(
                f"{source}: {manifest.parent.name}/{MANIFEST} names {name!r}, which is no file beside it; refused, and "
                "nothing was imported"
            )
