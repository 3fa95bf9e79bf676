"""What somebody does to a bundle: files written anew, with or without the hashes that belong to them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from expunge.audits.proofs.manifest import MANIFEST
from expunge.audits.proofs.recorder import commitment_to, link, npy
from expunge.checksums import sealed


def rewrite(folder: Path, name: str, data: bytes) -> None:
    """Write a file of a bundle anew, and its size and hash into the manifest."""
    (folder / name).write_bytes(data)
    change(folder, lambda told: told["files"].update({name: file_entry(data)}))


def file_entry(data: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def change(folder: Path, edit: Any) -> None:
    """Edit a manifest and seal it again."""
    told = json.loads((folder / MANIFEST).read_text())
    told.pop("sha256")
    edit(told)
    (folder / MANIFEST).write_text(json.dumps(sealed(told), indent=1))


def flip(folder: Path, step: int, place: int, record: int, *, relink: bool) -> None:
    """Put another record into the batch of a step, counted from 1; a careful liar mends the chain and commitment."""
    batches = np.load(folder / "batches.npy")
    batches[step - 1, place] = record
    rewrite(folder, "batches.npy", npy(batches))
    if relink:
        mend(folder, batches)


def mend(folder: Path, batches: ndarray) -> None:
    """A chain and a commitment that fit the batches."""
    from safetensors.numpy import load_file

    told = json.loads((folder / MANIFEST).read_text())
    states = [load_file(file) for file in sorted(folder.glob("states-*.safetensors"))]
    rates, links = np.load(folder / "rates.npy"), [np.load(folder / "chain.npy")[0].tobytes()]
    digests = [digest(each, row) for each in states for row in range(len(each["parameters"]))]
    for step, batch in enumerate(batches):
        kept = (step + 1) % told["every"] == 0 or step + 1 == len(batches)
        state = digests[-(-(step + 1) // told["every"])] if kept else b""
        links.append(link(links[-1], batch[batch >= 0], float(rates[step]), state))
    rewrite(folder, "chain.npy", npy(np.frombuffer(b"".join(links), np.uint8).reshape(-1, 32)))
    change(folder, lambda told: told.update(head=links[-1].hex()))
    order = {"kind": "listed", "nonce": None, "commitment": commitment_to(batches)}
    change(folder, lambda told: told.update(order=order))


def digest(states: dict[str, ndarray], row: int) -> bytes:
    found = hashlib.sha256()
    for name in ("parameters", "momenta", "buffers", "counters"):
        found.update(np.ascontiguousarray(states[name][row]).data)
    return found.digest()
