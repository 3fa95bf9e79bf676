"""What is measured of the usability attack beside the drops: is it benign, does it teach, what does it cost to forget,
what is left after each round, and who notices."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Literal

import numpy as np
from numpy import ndarray

from expunge.attacks import forgetting
from expunge.attacks.attack import Place
from expunge.attacks.condensing.condensed import Condensed
from expunge.attacks.condensing.informativeness import informativeness
from expunge.attacks.controls import RANDOM
from expunge.attacks.forgetting import MOST, Forgetting, forget_losses, steps_to_forget
from expunge.attacks.injection import Injection
from expunge.attacks.kept import kept
from expunge.attacks.removal import ATTACK, Attacked, test_accuracy
from expunge.attacks.rounds import Rounds, accuracy_by_round
from expunge.attacks.screening import screen
from expunge.engine import Watch, Workers, run_jobs, silent
from expunge.ensembles.builds import build
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import pretrain
from expunge.ensembles.stored_margins import find_ensemble, read_margins
from expunge.jobs import Job
from expunge.metrics.over_models import gap, mean_over_models, median_over_models
from expunge.records import Score, Setting
from expunge.suites.suite import ForgetSet, Suite

GAIN, ALONE = "victims-gain", "trained-alone-accuracy"
LOSS, STEPS, LOST = "forget-loss", "steps-to-forget", "drop-when-forgotten"
ROUND = "accuracy-by-round"
AUROC, TPR = "auroc", "tpr-at-1-fpr"

TEACHING, ROUNDS, SCREENING = informativeness.__module__, accuracy_by_round.__module__, screen.__module__  # their code

Told = Mapping[str, Setting]  # settings that single records add to those of the attack


def benign_scores(honest: Suite, injection: Injection, place: Place, workers: Workers, watch: Watch) -> list[Score]:
    """How much better victims are than models of the ``honest`` suite, trained without the contributions.

    The difference of the means of test accuracies, in [-1, 1]; the record's ``oracle`` is the accuracy without.
    """
    plan = Plan(honest, "pretrained")
    if find_ensemble(plan, place.models) is None:
        build(plan, place.models, workers=workers, watch=watch)
    without = test_accuracy(read_margins(plan, 0, place.models), honest)
    gained = gap(_before(injection, place.models), without, bounds=(-1.0, 1.0))
    return [place.score("no request", "test", GAIN, "mean", gained, module=__name__, oracle=float(without.mean()))]


def teaching_scores(suite: Suite, sets: Sequence[Condensed], place: Place, seed: int) -> list[Score]:
    """Test accuracy of networks trained on the condensed data alone, and on as much real data alone."""
    facts = [[asdict(each.config), each.seed, each.suite_digest] for each in sets]

    def measured() -> dict[str, ndarray]:
        found = informativeness(suite, sets, place.models, seed=seed)
        return {f"{data} data, {name}": values for name, pair in found.items() for data, values in _named(pair)}

    found = kept(suite, "informativeness", [facts, place.models, seed], [TEACHING], measured)
    return [
        place.score(name, "test", ALONE, "mean", mean_over_models(values, (0.0, 1.0)), module=TEACHING)
        for name, values in found.items()
    ]


def _named(pair: tuple[ndarray, ndarray]) -> list[tuple[str, ndarray]]:
    return list(zip(("condensed", "real"), pair, strict=True))


def forgetting_scores(injection: Injection, place: Place, told: Told, workers: Workers, watch: Watch) -> list[Score]:
    """What each request costs to forget, by plain gradient ascent, and how much there is to forget.

    The mean loss on the records of the victims and of the oracles, nats; the median number of steps until a model's is
    the oracles', where ``MOST`` stands for that or more; and the accuracy that is lost there.
    """
    suite = injection.suite
    names = list(injection.requests)
    jobs = [
        Job(f"forgetting {name}", _forgetting, (suite, injection.requests[name], place.models), (suite,))
        for name in names
    ]
    places = {id(job): name for job, name in zip(jobs, names, strict=True)}
    found = {places[id(job)]: result for job, result in run_jobs(jobs, workers, watch)}
    before = _before(injection, place.models)
    scores: list[Score] = []
    for name in names:
        forget = injection.requests[name]
        one, facts = replace(place, request=forget), {**told, "attack.request": name}
        losses = [_losses(suite, forget, kind, place.models) for kind in ("pretrained", "oracle")]
        late = int((~found[name].reached).sum())
        reason = f"{late} of {place.models} models not within {MOST} steps" if late else ""
        numbers = (
            (LOSS, "victims", mean_over_models(losses[0], (0.0, np.inf))),
            (LOSS, "oracles", mean_over_models(losses[1], (0.0, np.inf))),
            (STEPS, "median", median_over_models(found[name].steps.astype(float))),
            (LOST, "mean", mean_over_models(before - found[name].accuracy, (-1.0, 1.0))),
        )
        scores += [
            one.score("ascent", "test", metric, how, each, module=forgetting.__name__, facts=facts, reason=reason)
            for metric, how, each in numbers
        ]
    return scores


def _losses(suite: Suite, forget: ForgetSet, kind: Literal["pretrained", "oracle"], models: int) -> ndarray:
    """The mean loss on a forget set of each model of a kind, nats."""
    margins = read_margins(Plan(suite, kind, forget if kind == "oracle" else None), 0, models)
    return forget_losses(suite, forget, margins)


def _forgetting(suite: Suite, forget: ForgetSet, models: int) -> Forgetting:
    """What it costs the first victims to forget as retraining does; out of the store where it was measured before."""
    wanted = float(_losses(suite, forget, "oracle", models).mean())

    def measured() -> dict[str, ndarray]:
        found = steps_to_forget(pretrain(suite, models, watch=silent), suite, forget, wanted, most=MOST)
        return {"steps": found.steps, "reached": found.reached, "accuracy": found.accuracy}

    facts = [forget.digest, models, wanted, MOST]
    return Forgetting(**kept(suite, "forgetting", facts, [forgetting.__name__], measured))


def round_scores(
    injection: Injection,
    methods: Sequence[Attacked],
    rounds: int,
    seed: int,
    place: Place,
    told: Told,
    workers: Workers,
    watch: Watch,
) -> list[Score]:
    """Test accuracy after each round of the attack's request, and of as many random records."""
    scores: list[Score] = []
    for name in (ATTACK, RANDOM):
        forget = injection.requests[name]
        found = accuracy_by_round(injection, methods, forget, rounds, place.models, seed, workers=workers, watch=watch)
        one, facts = replace(place, request=forget), {**told, "attack.request": name}
        for label, values in found.items():
            scores += _by_round(one, label, values, rounds, facts)
    return scores


def _by_round(place: Place, label: str, values: Rounds, rounds: int, facts: Told) -> list[Score]:
    names = [f"round {number + 1} of {rounds}" for number in range(rounds)]
    if isinstance(values, str):
        return [
            place.score(label, "test", ROUND, name, None, module=ROUNDS, facts=facts, reason=values) for name in names
        ]
    return [
        place.score(label, "test", ROUND, name, mean_over_models(row, (0.0, 1.0)), module=ROUNDS, facts=facts)
        for name, row in zip(names, values, strict=True)
    ]


def screening_scores(
    injection: Injection,
    defences: Sequence[str],
    gate: Attacked,
    honest: int,
    seed: int,
    place: Place,
    workers: Workers,
    watch: Watch,
) -> list[Score]:
    """What each defence is worth: AUROC, and the share caught at 1 % of false alarms, by requests and by records."""
    found = screen(injection, defences, place.models, gate=gate, honest=honest, seed=seed, workers=workers, watch=watch)
    return [
        place.score(name, "test", metric, by, estimate, module=SCREENING)
        for name, each in found.items()
        for by, detected in (("requests", each.requests), ("records", each.records))
        if detected is not None
        for metric, estimate in ((AUROC, detected.auroc), (TPR, detected.tpr))
    ]


def _before(injection: Injection, models: int) -> ndarray:
    """Test accuracy of each victim."""
    return np.asarray(test_accuracy(read_margins(Plan(injection.suite, "pretrained"), 0, models), injection.suite))
