"""What is measured of the usability attack beside the drops: is it benign, does it teach, what does it cost to forget,
what is left after each round, and who notices."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
from numpy import ndarray

from expunge.attacks import forgetting
from expunge.attacks.attack import Place
from expunge.attacks.condensing.condensed import Condensed
from expunge.attacks.condensing.informativeness import informativeness
from expunge.attacks.controls import RANDOM
from expunge.attacks.drops import ATTACK
from expunge.attacks.forgetting import MOST, Forgetting, forget_loss, steps_to_forget
from expunge.attacks.injection import Injection
from expunge.attacks.kept import kept
from expunge.attacks.removal import Attacked, test_accuracy
from expunge.attacks.rounds import Rounds, accuracy_by_round
from expunge.attacks.screening import screen
from expunge.engine import Job, Watch, Workers, run_jobs
from expunge.ensembles.builds import build
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import pretrain
from expunge.ensembles.stored_margins import find_ensemble, read_margins
from expunge.metrics.calibration import Estimate
from expunge.metrics.over_models import gap, mean_over_models
from expunge.records import Score, Setting
from expunge.suites.suite import ForgetSet, Suite

GAIN, ALONE = "victims-gain", "trained-alone-accuracy"
STEPS, LOST = "steps-to-forget", "drop-when-forgotten"
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
    """Steps of ascent until each request's forget loss is that of retraining, and what accuracy that costs."""
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
        one = replace(place, request=injection.requests[name])
        for metric, estimate, reason in _costs(found[name], before):
            facts = {**told, "attack.request": name}
            scores.append(
                one.score(
                    "ascent", "test", metric, "mean", estimate, module=forgetting.__name__, facts=facts, reason=reason
                )
            )
    return scores


def _costs(found: Forgetting, before: ndarray) -> list[tuple[str, Estimate | None, str]]:
    late = int((~found.reached).sum())
    if late:
        reason = f"{late} of {len(before)} models not within {MOST} steps"
        return [(STEPS, None, reason), (LOST, None, reason)]
    return [
        (STEPS, mean_over_models(found.steps.astype(float), (0.0, float(MOST))), ""),
        (LOST, mean_over_models(before - found.accuracy, (-1.0, 1.0)), ""),
    ]


def _forgetting(suite: Suite, forget: ForgetSet, models: int) -> Forgetting:
    """What it costs the first victims to forget as retraining does; out of the store where it was measured before."""
    wanted = forget_loss(suite, forget, read_margins(Plan(suite, "oracle", forget), 0, models))

    def measured() -> dict[str, ndarray]:
        found = steps_to_forget(pretrain(suite, models), suite, forget, wanted, most=MOST)
        return {"steps": found.steps, "reached": found.reached, "accuracy": found.accuracy}

    return Forgetting(
        **kept(suite, "forgetting", [forget.digest, models, wanted, MOST], [forgetting.__name__], measured)
    )


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
