"""A certified method is tried: what it claims, what is measured beside it, what it costs, and whether checks work."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.audits.conditions import known
from expunge.audits.refutation.arms import Arm, Arms, Reading, require_models
from expunge.audits.refutation.evidence import Evidence, as_bound
from expunge.audits.refutation.guessing import Guessing, guessing
from expunge.audits.refutation.hardest_claim import hardest, hides_a_shift, radius_of
from expunge.audits.refutation.judging import Tried, judge
from expunge.audits.refutation.measured import measured_epsilon
from expunge.audits.refutation.noise_draws import DRAWS, Sampler, draw_noise
from expunge.audits.refutation.planted import Caught, Scene, plant
from expunge.audits.refutation.release_checks import checks_of
from expunge.audits.refutation.release_noise import drawn_by_release
from expunge.audits.refutation.trial import SIDES, Made, Side, Stage, both_arms, trial_of
from expunge.audits.refutation.utility import Utility, utility_of
from expunge.audits.shadows import Labour
from expunge.certificates.certificate import Certificate, issue
from expunge.certificates.record import as_record
from expunge.engine import Watch, Workers, silent
from expunge.ensembles.seeds import seed_of
from expunge.fingerprint import code_digest
from expunge.methods.certified import guarantee_of
from expunge.methods.task import Task
from expunge.records import Subject, as_ranges, hardware, versions
from expunge.suites import Suite, as_suite
from expunge.suites.data import flat_features

Bare = tuple[Mapping[Side, Made], Stage]  # arms that have no noise, and at which stage they have none
WORDS = ("CERTIFIED", "VACUOUS", "NOT CERTIFIED")  # from the best to the worst
MODELS, DRAWN = "models", "draws of noise"  # what evidence is counted in


@dataclass(frozen=True, kw_only=True, eq=False)
class Certification:
    """A certified method on a forget set: its certificates, one a model, and what was found of their claims.

    What is NOT CERTIFIED claims nothing; the epsilon that was ``asked`` of the method is tried all the same.
    ``evidence`` speaks against it, by what it was counted in: models, and draws of noise where a theorem hides a known
    shift by the last noise. ``tried`` are the verdicts of this method alone; those of a page come from
    :func:`tried_together`. ``noise`` is the standard deviation of the last noise of each model. ``checks`` hold a fault
    in a line, "" where there was none. ``guessing`` sets the models beside chance; None where chance has no number.
    ``apart`` is the distance between the arms before the last noise, of their mean weights, to be held against the
    shift of a claim; None where weights were not looked at. ``cost`` is the share of one retraining, ``seconds`` the
    time for one model; ``planted`` is empty where no fault was planted.
    """

    subject: Subject
    certificates: tuple[Certificate, ...]
    noise: Float[ndarray, " models"]
    evidence: Mapping[str, Evidence]
    checks: Mapping[str, str]
    utility: Sequence[Utility]
    guessing: Guessing | None
    asked: float
    apart: float | None
    cost: float
    seconds: float
    planted: Sequence[Caught] = ()
    notes: tuple[str, ...] = ()
    tried: Mapping[str, Tried] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tried", tried_together([self])[0])

    @property
    def certificate(self) -> Certificate:
        """That of which records speak: of the worst word, the one with the most noise."""
        return max(self.certificates, key=lambda each: (WORDS.index(each.verdict), each.claim.sigma))

    @property
    def stands(self) -> bool:
        """Whether all are CERTIFIED, and each check and test, which could have said otherwise, did not."""
        certified = all(each.verdict == "CERTIFIED" for each in self.certificates)
        return (
            certified
            and all(each.word == "NOT REFUTED" for each in self.tried.values())
            and not any(self.checks.values())
        )

    def as_json(self) -> dict[str, Any]:
        """The record as plain values."""
        return {
            "record": "certification",
            "subject": asdict(self.subject),
            "certificate": as_record(self.certificate),
            "noise": float(self.noise.max()),
            "bounds": {name: asdict(as_bound(self.subject, each)) for name, each in self.evidence.items()},
            "tried": {name: asdict(each) for name, each in self.tried.items()},
            "checks": dict(self.checks),
            "utility": [asdict(each) for each in self.utility],
            "guessing": None if self.guessing is None else {**asdict(self.guessing), "place": self.guessing.place},
            "asked": self.asked,
            "apart": self.apart,
            "cost": self.cost,
            "seconds": self.seconds,
            "planted": [asdict(each) for each in self.planted],
            "notes": list(self.notes),
        }


def tried_together(page: Sequence[Certification]) -> list[dict[str, Tried]]:
    """The verdicts on all claims of a page, corrected together: a false REFUTED is on 5 % of pages at most."""
    names = [(row, name) for row, each in enumerate(page) for name in each.evidence]
    found = judge([page[row].asked for row, _ in names], [page[row].evidence[name] for row, name in names])
    result: list[dict[str, Tried]] = [{} for _ in page]
    for (row, name), tried in zip(names, found, strict=True):
        result[row][name] = tried
    return result


def measure(
    method: str,
    suite: Suite | str,
    forget_set: object,
    *,
    models: int = 200,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
    planted: bool = False,
    draws: int = DRAWS,
    workers: Workers = 1,
    watch: Watch = silent,
) -> Certification:
    """Train two arms of ``models``, update and release both, and set a lower bound beside the epsilon that is claimed.

    The arms are ``U(D, D_u, A(D))`` and ``U(D_r, nothing, A(D_r))``: the method's own training, update and noise on all
    training examples, and on those that are kept, with nothing to forget. Half of the models choose an event, the other
    half count it. ``epsilon`` and ``delta`` are ``settings`` of the method; ``planted`` plants faults as well. What was
    made is kept, so that a run that was stopped goes on.
    """
    suite = as_suite(suite)
    require_models(models)
    task = trial_of(method, suite, suite.forget_set(forget_set), settings or {}, seed)
    labour = Labour(workers, watch)
    made = both_arms(task, range(models), labour)
    arms, one = arms_of(made, "released", task), made["released"]
    bare: Bare = made, "updated"
    if not hides_a_shift(one):  # but has noise in its training or its steps
        bare = both_arms(task, range(models), labour, quiet=True), "released"
    utility = utility_of(made, bare, suite.columns(task.forget))
    useful = guessing(suite, task.forget, utility)
    certificates = _certificates(task, one, useful)
    noise_of = partial(drawn_by_release, seed=seed_of(suite.digest, "noise", method, seed))
    return Certification(
        subject=_subject(task, one),
        certificates=certificates,
        asked=max(claim.epsilon for claim in one.claims),
        apart=_apart(arms),
        noise=one.noise,
        evidence=_evidence(one, arms, noise_of, draws),
        checks=checks_of(made, arms),
        utility=utility,
        guessing=useful,
        cost=one.cost,
        seconds=one.seconds,
        planted=plant(_scene(made, bare, task, noise_of, certificates, draws)) if planted else (),
        notes=() if one.weights.shape[1] else ("the weights were not looked at, for there are too many of them",),
    )


def arms_of(made: Mapping[Side, Made], stage: Stage, task: Task) -> Arms:
    """What is seen of the models of both arms at a stage: margins on the forget set, weights, buffers."""
    columns = task.suite.columns(task.forget)["forget"]
    return Arms(*(_arm(made[side], columns, stage) for side in SIDES))


def _arm(made: Made, columns: ndarray, stage: Stage) -> Arm:
    readings: dict[Reading, ndarray] = {"margins": made.margins[stage][:, columns]}
    if made.weights.shape[1]:
        readings |= {"weights": made.weights if stage == "released" else made.unnoised, "unnoised": made.unnoised}
    if made.buffers:
        flat = [each.reshape(len(each), -1).astype(np.float64) for each in made.buffers.values()]
        readings["buffers"] = np.concatenate(flat, axis=1)
    return Arm(made.numbers, readings)


def _evidence(made: Made, arms: Arms, noise_of: Sampler, draws: int) -> dict[str, Evidence]:
    claim = hardest(made)
    found: dict[str, Evidence] = {MODELS: measured_epsilon(arms, claim.delta, float(made.noise.mean()))}
    if hides_a_shift(made):
        assert claim.shift is not None
        found[DRAWN] = draw_noise(
            noise_of(claim.sigma),
            sigma=claim.sigma,
            shift=claim.shift,
            epsilon=claim.epsilon,
            delta=claim.delta,
            draws=draws,
        )
    return found


def _apart(arms: Arms) -> float | None:
    if "unnoised" not in arms.known:
        return None
    means = [arm.read("unnoised").mean(axis=0) for arm in arms.both]
    return float(np.linalg.norm(means[0] - means[1]))


def _certificates(task: Task, made: Made, useful: Guessing | None) -> tuple[Certificate, ...]:
    """One for each model, with what is known to be false of its network, and with a note where models are at chance.

    Models were trained as the method asks it, or in any way where its theorem does not look at training: so nothing
    that is false of the suite's recipe is false of them.
    """
    found, guarantee, subject = known(task.suite, by_recipe=False), guarantee_of(task.name), _subject(task, made)
    false = {**found.false, **guarantee.false(task.config)}
    held = {**found.held, **guarantee.held(task.config)}
    notes = () if useful is None or useful.place == "above chance" else (useful.told(),)
    return tuple(
        issue(subject, number, replace(claim, notes=(*claim.notes, *notes)), false=false, held=held)
        for number, claim in zip(made.numbers, made.claims, strict=True)
    )


def _scene(
    made: Mapping[Side, Made],
    bare: Bare,
    task: Task,
    noise_of: Sampler,
    certificates: Sequence[Certificate],
    draws: int,
) -> Scene:
    claim = hardest(made["released"])
    return Scene(
        epsilon=claim.epsilon,
        delta=claim.delta,
        sigma=claim.sigma,
        shift=claim.shift if hides_a_shift(made["released"]) else None,
        radius=radius_of(claim),
        sound=arms_of(made, "released", task),
        bare=arms_of(*bare, task),
        added=made["released"].noise_by_tensor(),
        sigmas=made["released"].noise,
        noise=noise_of,
        inputs=flat_features(task.suite.data.train.x),
        forget=task.forget.indices,
        certificates=certificates,
        draws=draws,
    )


def _subject(task: Task, made: Made) -> Subject:
    suite = task.suite
    return Subject(
        suite=suite.name,
        suite_digest=suite.digest,
        forget_set=task.forget.name,
        forget_digest=task.forget.sha256,
        method=task.name,
        config=task.settings,
        tuning="",
        seed=task.seed,
        model_numbers=as_ranges(made.numbers),
        device=made.device,
        hardware=hardware(),
        code=code_digest(*task.modules, __name__)[:16],
        versions=versions(),
        forget_kind=task.forget.kind,
    )
