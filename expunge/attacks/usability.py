"""The unlearning usability attack: benign, condensed records are trained on, and their removal costs accuracy.

An owner contributes few records, rightly labelled, that teach more than others, and asks later for exactly those to be
removed. Source: Ma et al. 2024, arXiv:2407.05112, whose public code has one generator, one batching and one control.
Here every number stands beside that of ordinary records, of the most influential and most memorised ones, and of exact
retraining; batches are honest or dedicated.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from expunge.attacks.attack import Attack, Place
from expunge.attacks.attack_folder import USABILITY, prepare
from expunge.attacks.condensing.condensed import Condensed, Condensing
from expunge.attacks.condensing.embeddings import Make, network_for
from expunge.attacks.contributions import Owners, check_owners, contributions_of
from expunge.attacks.controls import Controls, control_sets
from expunge.attacks.defences import DEFENCES
from expunge.attacks.detection import HONEST
from expunge.attacks.drops import drop_scores
from expunge.attacks.evidence import (
    benign_scores,
    forgetting_scores,
    round_scores,
    screening_scores,
    teaching_scores,
)
from expunge.attacks.injection import Batching, Contribution, Injection, inject
from expunge.attacks.lab.arms import HONEST as HONEST_ARM
from expunge.attacks.lab.arms import ORACLE
from expunge.attacks.lab.settings import require_serving
from expunge.attacks.removal import Attacked, serve
from expunge.bench.folder import SCORES, write_arrays
from expunge.bench.run_info import ATTACK as ATTACK_FOLDER
from expunge.bench.run_info import RunInfo, write_run
from expunge.engine import Watch, Workers, silent
from expunge.ensembles.plan import Plan
from expunge.ensembles.whole_models import first_weights
from expunge.errors import BadSetting, lookup
from expunge.files import alone_with
from expunge.names import require_name
from expunge.records import Score, Setting, write_scores
from expunge.suites import load_suite
from expunge.suites.suite import Suite

# Of a quick look; and what is attacked where all is asked for.
QUICK = (
    Attacked("amnesiac", {"epochs": 0}),
    Attacked("amnesiac"),
    Attacked("first-order"),
    Attacked("gradient-ascent"),
    Attacked("fine-tune"),
)
EVERY = (
    *QUICK,
    Attacked("neg-grad-plus"),
    Attacked("scrub"),
    Attacked("salun"),
    Attacked("sisa"),
    Attacked("second-order"),
    Attacked("unrolling-sgd"),
    Attacked("influence"),
    Attacked("ssd"),
)
SCREENING = tuple(name for name, row in DEFENCES.items() if row.screens)  # those that judge a request among others
GATE = Attacked("first-order")  # by which a defence tries a removal: the cheapest
BUDGET = 0.01  # share of the training data that the paper's attacker contributes at most
PICTURES = "pictures.npz"
MOST_HONEST, LEAST_SUBSETS = 10_000, 20


@dataclass(frozen=True, kw_only=True)
class Usability:
    """Settings of the attack; with ``rounds`` the request also comes in so many parts, one after the other."""

    condensing: Condensing = field(default_factory=Condensing)
    owners: Owners = field(default_factory=Owners)
    models: int = 20
    methods: tuple[Attacked, ...] = QUICK
    batchings: tuple[Batching, ...] = ("shuffled", "dedicated")
    draws: int = 8  # random sets beside the attack's
    rounds: int = 1
    network: str = "suite"  # of the victims: a name of NETWORKS
    subsets: int | None = None  # how many models on random halves measure influence; default: all that the suite has
    defences: tuple[str, ...] = SCREENING
    gate: Attacked = GATE
    honest: int = 200  # requests that a defence should let pass
    seed: int = 0

    @property
    def facts(self) -> dict[str, Setting]:
        """What every record says of the attack."""
        condensing = {key: value for key, value in asdict(self.condensing.settled).items() if value is not None}
        facts = {
            **condensing,
            **self.owners.facts,
            "network": self.network,
            "seed": self.seed,
            "draws": self.draws,
        }
        return {f"attack.{key}": value for key, value in facts.items()}


def images_within_budget(suite: Suite) -> int:
    """The most images a class that stay within 1 % of the training data, and at least one."""
    return max(1, int(BUDGET * suite.data.sizes[0] / suite.data.classes))


def check(suite: Suite, config: Usability) -> None:
    """Refuse what cannot be, before any work."""
    require_name("suite", suite.name)
    if config.models < 2:
        raise BadSetting(f"expected at least 2 models, since one has no interval, got {config.models}")
    for name in config.defences:
        lookup("defence", name, DEFENCES)
        if name not in SCREENING:
            raise BadSetting(
                f"defence {name!r} does not say of one request among others how suspicious it is, which is all that "
                "this attack asks; try it by `expunge attack NAME --defence` against an attack through requests"
            )
    if config.defences and config.honest < HONEST:
        raise BadSetting(
            f"expected at least {HONEST} honest requests, so that one false alarm in 100 is seen, got {config.honest}"
        )
    if config.seed < 0 or not 0 <= config.honest <= MOST_HONEST:
        raise BadSetting(
            f"expected a seed of at least 0 and at most {MOST_HONEST} honest requests, got {config.seed} and "
            f"{config.honest}"
        )
    if config.subsets not in (None, 0) and not LEAST_SUBSETS <= (config.subsets or 0) <= suite.subsets:
        raise BadSetting(
            f"expected {LEAST_SUBSETS} to {suite.subsets} subsets, as many as suite {suite.name!r} has, or 0 to leave "
            f"out what they measure, got {config.subsets}"
        )
    make = network_for(suite, config.network)
    check_owners(suite, config.owners, config.condensing)
    _check_sizes(suite, config)
    _check_stack(replace(suite, network=make))
    for each in (*config.methods, config.gate):
        require_serving(suite, each)


def _check_stack(suite: Suite) -> None:
    """Refuse a network that does not fit the data, or of which an ensemble cannot be made."""
    suite.check()
    first_weights(Plan(suite, "pretrained"), [0], torch.device("cpu")).eval()(suite.data.train.x[:2])


def _check_sizes(suite: Suite, config: Usability) -> None:
    train, classes, images = suite.data.sizes[0], suite.data.classes, config.condensing.images
    asked = classes * images // config.owners.count * config.owners.who_ask
    if not 1 <= config.rounds <= asked:
        raise BadSetting(f"expected 1 to {asked} rounds, at least one record in each, got {config.rounds}")
    if config.draws < 1:
        raise BadSetting(f"expected at least 1 random draw, got {config.draws}")
    if classes * images + (config.draws + 2) * asked >= train:
        raise BadSetting(
            f"suite {suite.name!r}: {images} images of each of {classes} classes, and {config.draws + 2} controls as "
            f"large as what is asked for, are more than its {train} training examples; lower --images or --draws"
        )
    sizes = np.bincount(suite.data.train.y.numpy(), minlength=classes)
    needed = images + config.draws * asked // classes
    if sizes.min() < needed:
        raise BadSetting(
            f"suite {suite.name!r}: class {sizes.argmin()} has {sizes.min()} training examples, and {needed} are "
            f"needed for what is contributed and {config.draws} random draws; lower --images or --draws"
        )


def run(suite: Suite, config: Usability, out: Path, *, workers: Workers = 1, watch: Watch = silent) -> list[Score]:
    """Condense, inject, train, remove, compare; what was finished before is taken from the store.

    Files, written at the end: ``scores.jsonl``, ``condensed-SEED.npz`` of each condensed set, of pictures
    ``pictures.npz``, and ``run.json`` with the SHA-256 of all.
    """
    check(suite, config)
    prepare(out, USABILITY)
    contributions, sets = contributions_of(suite, config.owners, config.condensing, config.seed, watch)
    if config.owners.load:
        config = replace(config, condensing=sets[0].config)
    honest = inject(suite, [], {}, network=_victims_network(suite, config), models=config.models).suite
    controls = _controls(suite, config, contributions, workers, watch)
    injections = _injections(suite, config, contributions, controls)
    first = injections[0]
    facts: dict[str, Setting] = {
        **config.facts,
        "attack.records": len(first.attack),
        "attack.train": suite.data.sizes[0],
        **{f"attack.reliability-{name}": value for name, value in controls.reliability.items()},
    }
    place = Place(first.suite, first.attack, facts, config.models)
    served = serve(injections, config.methods, config.models, config.seed, workers=workers, watch=watch)
    scores = drop_scores(served, facts)
    scores += benign_scores(honest, first, place, workers, watch)
    scores += teaching_scores(suite, sets, place, config.seed)
    for injection in injections:
        there, told = replace(place, suite=injection.suite), {"attack.batching": injection.batching}
        scores += forgetting_scores(injection, there, told, workers, watch)
        if config.rounds > 1:
            scores += round_scores(injection, config.methods, config.rounds, config.seed, there, told, workers, watch)
    scores += screening_scores(first, config.defences, config.gate, config.honest, config.seed, place, workers, watch)
    _write(out, suite, sets, scores)
    return scores


def _write(out: Path, suite: Suite, sets: Sequence[Condensed], scores: Sequence[Score]) -> None:
    """Write all files of an attack, in the place of those of an earlier one; ``run.json``, which names them, last."""
    with alone_with(out):
        files = {name: each.save(out / name) for each in sets if (name := f"condensed-{each.seed}.npz")}
        if suite.data.train.x.ndim == 4:
            files[PICTURES] = _write_pictures(out / PICTURES, suite, sets[0])
        files[SCORES] = write_scores(out / SCORES, scores)
        for file in [*out.glob("condensed-*.npz"), out / PICTURES]:
            if file.name not in files:
                file.unlink(missing_ok=True)
        subject = scores[0].subject
        about = RunInfo(kind=ATTACK_FOLDER, attack=USABILITY, suite=subject.suite, suite_digest=subject.suite_digest)
        write_run(out, about, files)


def _write_pictures(file: Path, suite: Suite, made: Condensed) -> str:
    """Condensed records beside those that they began as, stretched to [0, 1] by the range of the training data."""
    low, high = float(suite.data.train.x.min()), float(suite.data.train.x.max())
    source = suite if made.suite_digest == suite.digest else load_suite(made.suite)
    shown = [
        ((each.float() - low) / max(high - low, 1e-12)).clamp(0, 1).movedim(1, -1).squeeze(-1).numpy()
        for each in (made.examples.x, source.data.train.x[torch.as_tensor(made.origin)])
    ]
    return write_arrays(file, {"condensed": shown[0], "real": shown[1], "labels": made.examples.y.numpy()})


def _controls(
    suite: Suite, config: Usability, contributions: Sequence[Contribution], workers: Workers, watch: Watch
) -> Controls:
    """Ordinary records with the classes of what is asked for, none of which stands back for a contribution."""
    asking = contributions[: config.owners.who_ask]
    labels = np.concatenate([each.examples.y.numpy() for each in asking])
    standing_back = [each.instead for each in contributions if each.instead is not None]
    return control_sets(
        suite,
        labels,
        np.concatenate(standing_back) if standing_back else np.arange(0),
        config.seed,
        draws=config.draws,
        subsets=config.subsets,
        workers=workers,
        watch=watch,
    )


def _victims_network(suite: Suite, config: Usability) -> Make | None:
    """What makes victims; None where they are the suite's own network."""
    return None if config.network == "suite" else network_for(suite, config.network)


def _injections(
    suite: Suite, config: Usability, contributions: Sequence[Contribution], controls: Controls
) -> list[Injection]:
    """The suite with the contributions, once for each batching, with the same controls."""
    network = _victims_network(suite, config)
    return [
        inject(
            suite,
            contributions,
            controls.sets,
            batching=batching,
            draws=controls.draws,
            network=network,
            asking=config.owners.who_ask,
            models=config.models,
        )
        for batching in config.batchings
    ]


ATTACK = Attack(
    run=run,
    check=check,
    config=Usability,
    summary="benign, condensed records are trained on, and their removal costs accuracy",
    roles=("contributor", "requester"),
    goal="untargeted",
    knowledge="black box",
    phases=("training", "unlearning"),
    arms={
        HONEST_ARM: "as many random records of the same classes, the mean over several draws",
        ORACLE: "models trained without the attack's records",
    },
    cite=("ma2024",),
)
