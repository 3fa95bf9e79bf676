"""Informative benign data: pictures with right labels that hold what many records of their classes teach.

Source: Ma et al. 2024, arXiv:2407.05112, who condense by matching distributions; their public code matches gradients.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.condensing.condensed import Condensed, Condensing, load_condensed
from expunge.attacks.condensing.distribution_matching import distribution_matching
from expunge.attacks.condensing.embeddings import check_embedding, network_for
from expunge.attacks.condensing.gradient_matching import gradient_matching
from expunge.attacks.condensing.material import Material, per_channel, rows_by_class
from expunge.attacks.condensing.shared_augmentation import has_pictures, names_of
from expunge.engine import Watch, silent
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting, lookup
from expunge.jobs import one_thread
from expunge.suites.suite import Examples, Suite
from expunge.suites.target import CLASSIFICATION

__all__ = ["Condensed", "Condensing", "check_condensing", "condense", "load_condensed"]

# What moves pixels: (task, pictures to start from, watch) -> pictures, and the objective of each seed and iteration.
Match = Callable[[Material, Tensor, Watch], tuple[Tensor, Tensor]]
MATCHES: dict[str, Match] = {"dm": distribution_matching, "gm": gradient_matching}

FAR = 1e6  # times the largest value of the data: what lies beyond is no data


def condense(
    suite: Suite,
    config: Condensing,
    seeds: Sequence[int] = (0,),
    *,
    watch: Watch = silent,
    own: Int[ndarray, " own"] | None = None,
) -> list[Condensed]:
    """``config.images`` condensed examples of each class, a set for each seed; all sets are made at once.

    Each set has its own start, batches, networks and augmentations, and is what it would be alone. ``own`` are the
    numbers of the training records that the attacker has; by default all. ``watch`` is told of every iteration.
    """
    check_condensing(suite, config, own)
    config = config.settled
    records = np.arange(len(suite.data.train)) if own is None else np.unique(own)
    material = Material(suite, config, tuple(seeds), records)
    origins = np.stack([_origin(material, seed) for seed in seeds])
    with one_thread():
        x, objective = lookup("generator", config.generator, MATCHES)(material, _start(material, origins), watch)
    _require_finite(suite, x, objective)
    made = zip(seeds, origins, x.float().cpu(), objective.cpu().tolist(), strict=True)
    names = suite.name, suite.digest
    return [
        Condensed(Examples(each.contiguous(), suite.data.train.y[origin]), origin, config, seed, *names, tuple(values))
        for seed, origin, each, values in made
    ]


def _require_finite(suite: Suite, x: Tensor, objective: Tensor) -> None:
    """Refuse what diverged; the objective, ``(seeds, iterations)``, says when."""
    most = FAR * float(suite.data.train.x.abs().max())
    if x.isfinite().all() and objective.isfinite().all() and float(x.abs().max()) <= most:
        return
    bad = (~objective.isfinite()).any(0).nonzero().flatten().tolist()
    when = f" at iteration {bad[0] + 1}" if bad else ""
    raise BadSetting(
        f"condensing {suite.name!r} diverged{when}; give a lower lr, or bring the columns of the data to one scale"
    )


def check_condensing(suite: Suite, config: Condensing, own: Int[ndarray, " own"] | None = None) -> None:
    """Refuse, before any work, a suite that cannot be condensed so: one line that says what fits."""
    if suite.target != CLASSIFICATION:
        raise BadSetting(
            f"condensing: expected a suite with one label an example, {suite.name} has target {suite.target.name}"
        )
    if not suite.data.train.x.dtype.is_floating_point:
        raise BadSetting(
            f"condensing: expected inputs of floating point, which can be moved, {suite.name} has "
            f"{suite.data.train.x.dtype}; bring them to float32"
        )
    if config.pixels == "kept" and not has_pictures(suite):
        raise BadSetting(
            f"condensing: pixels='kept' keeps pictures in their range, and {suite.name} has none; take pixels='free'"
        )
    names = names_of(config.augment, suite)
    if names and suite.data.train.x.ndim != 4:
        raise BadSetting(f"condensing: {' '.join(names)} change pictures, and {suite.name} has none; augment='none'")
    _check_records(suite, config, own)
    make = network_for(suite, config.embedding, config.width)
    if config.generator == "dm":
        check_embedding(suite, config.embedding, make)


def _check_records(suite: Suite, config: Condensing, own: Int[ndarray, " own"] | None) -> None:
    train = len(suite.data.train)
    records = np.arange(train) if own is None else np.unique(own)
    if not len(records) or records[0] < 0 or records[-1] >= train:
        raise BadSetting(f"condensing: expected numbers of training records of {suite.name}, 0 to {train - 1}, in own")
    counts = [len(rows) for rows in rows_by_class(suite, records)]
    least = int(np.argmin(counts))
    if counts[least] < config.images:
        owner = suite.name if own is None else "the attacker"
        raise BadSetting(
            f"condensing: {config.images} images of class {least} for the {counts[least]} records that {owner} has of "
            f"it; lower images to {counts[least]}" + ("" if counts[least] else ", or give records of every class")
        )


def _origin(material: Material, seed: int) -> Int[ndarray, " condensed"]:
    """The records that a seed draws of each class, as many as there are to be images."""
    rng = np.random.default_rng(seed_of(material.suite.digest, "condensing", "start", seed))
    images = material.config.images
    return np.concatenate([rng.choice(rows, images, replace=False) for rows in material.by_class()])


def _start(material: Material, origins: Int[ndarray, "seeds condensed"]) -> Tensor:
    """Pictures to begin with: the records themselves, or noise with the mean and spread of each channel."""
    x = material.train.x
    records = x[torch.tensor(origins, device=material.device)].to(material.dtype)
    if material.config.start == "real":
        return records
    noise = torch.stack([_noise(seed, records[0]) for seed in material.seeds])
    mean, std, low, high = (per_channel(x, each).to(records.dtype) for each in ("mean", "std", "amin", "amax"))
    pictures = mean + std * noise
    return pictures.clamp(low, high) if material.config.pixels == "kept" else pictures


def _noise(seed: int, like: Tensor) -> Tensor:
    rng = np.random.default_rng(seed_of("condensing noise", seed))
    return torch.tensor(rng.standard_normal(like.shape), dtype=like.dtype, device=like.device)
