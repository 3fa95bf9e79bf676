"""A bundle is a stranger's: whatever is in it ends in one line, and takes little memory."""

import json
import os
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from expunge.audits.proofs.bundle import open_bundle
from expunge.audits.proofs.manifest import MANIFEST
from expunge.audits.proofs.provider import Proven
from expunge.audits.proofs.recorder import npy
from expunge.errors import BadProof
from expunge.suites import Suite
from tests.audits.proofs.tampering import change, file_entry, rewrite

STATES = "states-00000.safetensors"
Break = Callable[[Path], object]


def shrink(name: str, size: int) -> Break:
    return lambda folder: os.truncate(folder / name, size)


def told(**values: object) -> Break:
    return lambda folder: change(folder, lambda found: found.update(values))


def removing(*records: int) -> Break:
    return lambda folder: change(folder, lambda found: found["promise"].update(removed=list(records)))


def other_state(folder: Path, name: str, cut: Any) -> None:
    states = load_file(folder / STATES)
    states[name] = np.ascontiguousarray(states[name][cut])
    rewrite(folder, STATES, save(states))


def lacking_momenta(folder: Path) -> None:
    states = load_file(folder / STATES)
    del states["momenta"]
    rewrite(folder, STATES, save(states))


def huge(folder: Path) -> None:
    os.truncate(folder / STATES, 1 << 40)  # sparse: it takes no disk


def linked(folder: Path) -> None:
    (folder / "rates.npy").rename(folder.parent / "elsewhere.npy")
    (folder / "rates.npy").symlink_to(folder.parent / "elsewhere.npy")


def bomb(folder: Path) -> None:
    file = folder.parent / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("batches.npy", bytes(64 << 20))
    rewrite(folder, "batches.npy", file.read_bytes())


def pickled(folder: Path) -> None:
    rewrite(folder, "batches.npy", b"\x80\x04cos\nsystem\n(S'touch owned'\ntR." + bytes(200))


def objects(folder: Path) -> None:
    array = np.empty((80, 20), dtype=object)
    np.save(folder / "objects.npy", array, allow_pickle=True)
    rewrite(folder, "batches.npy", (folder / "objects.npy").read_bytes())


def lying_header(folder: Path) -> None:
    data = npy(np.zeros((80, 20), np.int32)).replace(b"(80, 20)", b"(8000000000000, 20)")
    rewrite(folder, "batches.npy", data)


def climbing(folder: Path) -> None:
    change(folder, lambda found: found["files"].update({"../../etc/passwd": file_entry(b"")}))


def strange_record(folder: Path) -> None:
    batches = np.load(folder / "batches.npy")
    batches[4, 2] = 7_000_000
    rewrite(folder, "batches.npy", npy(batches))


BROKEN: dict[str, tuple[Break, str]] = {
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), "is no bundle: it has no manifest.json"),
    "half a manifest": (shrink(MANIFEST, 900), "is no manifest of a proof"),
    "an edited manifest": (
        lambda f: (f / MANIFEST).write_text((f / MANIFEST).read_text().replace('"steps": 80', '"steps": 81')),
        "does not have the checksum",
    ),
    "a huge manifest": (shrink(MANIFEST, 1 << 40), "expected at most"),
    "nesting": (lambda folder: (folder / MANIFEST).write_text("[" * 100_000), "is no manifest of a proof"),
    "other json": (lambda folder: (folder / MANIFEST).write_text("[]"), "does not say"),
    "another version": (told(version=2), "has version 2, this expunge reads 1"),
    "an unknown field": (told(run="rm -rf /"), "is no manifest of a proof: run"),
    "a step too many": (told(steps=81, states=82), "expected shape"),
    "no end of steps": (told(steps=40_000_000, states=40_000_001), "expected 1 to"),
    "negative steps": (told(steps=-1), "is no manifest of a proof: steps"),
    "a path that climbs": (climbing, "is no manifest of a proof: files"),
    "another suite": (
        lambda folder: change(folder, lambda found: found["promise"].update(suite_digest="0" * 16)),
        "expected 'tiny'",
    ),
    "other tensors": (
        lambda folder: change(folder, lambda found: found["layout"][0].update(shape=[3, 3])),
        "holds? other tensors",
    ),
    "a truncated file": (shrink(STATES, 1000), "was it handed over whole"),
    "a missing file": (
        lambda folder: (folder / "chain.npy").unlink(),
        "is missing, in which manifest.json has the hash",
    ),
    "a missing checkpoint": (lambda folder: (folder / STATES).unlink(), "has states: weights, buffers and momenta"),
    "rates that are none": (
        lambda folder: rewrite(folder, "rates.npy", npy(np.full(80, np.nan))),
        "expected finite learning rates",
    ),
    "removed records that there are not": (removing(0, 7_000_000), "removes 2 records, up to 7,000,000; expected"),
    "removed records that come twice": (removing(3, 3), "expected rising numbers of 0 to 199"),
    "no record that remains": (removing(*range(200)), "and some to remain"),
    "a huge file": (huge, "was it handed over whole"),
    "changed bytes": (
        lambda folder: (folder / "rates.npy").write_bytes(npy(np.zeros(80))),
        "does not have the SHA-256",
    ),
    "a link": (linked, "is a link to another place"),
    "a zip bomb": (bomb, "is no .npy, but begins as an .npz"),
    "a pickle": (pickled, "is no .npy"),
    "an array of objects": (objects, "Python objects, which only running code could read"),
    "a header that lies": (lying_header, "was it downloaded whole"),
    "batches of another shape": (
        lambda folder: rewrite(folder, "batches.npy", npy(np.zeros((80, 19), np.int32))),
        "expected shape",
    ),
    "batches of another type": (
        lambda folder: rewrite(folder, "batches.npy", npy(np.zeros((80, 20), np.int64))),
        "expected int32, got int64",
    ),
    "a record that there is not": (strange_record, "the batch of step 5 holds records beyond 0 to 199"),
    "states of another shape": (lambda folder: other_state(folder, "parameters", np.s_[:, :-1]), "expected parameters"),
    "a state that is missing": (lambda folder: other_state(folder, "momenta", np.s_[:-1]), "expected parameters"),
    "no momenta": (lacking_momenta, "lacks momenta"),
    "states that are none": (
        lambda folder: rewrite(folder, STATES, b"\x10" + bytes(99)),
        "is no safetensors|is no .saf",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_bundle_ends_in_one_line(
    name: str, tiny_suite: Suite, small: Proven, copied: Callable[[Proven], Path]
) -> None:
    folder, (broken, words) = copied(small), BROKEN[name]
    broken(folder)
    open_bundle(small.bundle, tiny_suite)  # what is loaded once is not the bundle's
    tracemalloc.start()
    with pytest.raises(BadProof, match=words) as raised:
        open_bundle(folder, tiny_suite)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(raised.value)
    assert most < 100e6
    assert not Path("owned").exists()


def test_a_file_in_place_of_the_folder_is_not_unpacked(tiny_suite: Suite, small: Proven, tmp_path: Path) -> None:
    file = Path(shutil.make_archive(str(tmp_path / "bundle"), "zip", small.bundle))
    with pytest.raises(BadProof, match="it is a file, and nothing is unpacked here"):
        open_bundle(file, tiny_suite)


def test_a_manifest_is_plain_json(small: Proven) -> None:
    assert json.loads((small.bundle / MANIFEST).read_text())["steps"] == 80
    assert {file.suffix for file in small.bundle.iterdir()} == {".json", ".npy", ".safetensors"}
