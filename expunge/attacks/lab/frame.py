"""The run that all attacks of the lab go by: refuse, play against each method's victims, screen, write."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from expunge.attacks.attack import Attack, Place
from expunge.attacks.attack_folder import NAME, prepare
from expunge.attacks.lab.arms import ATTACK, Played, joined
from expunge.attacks.lab.cells import asked, defend_against, play_on
from expunge.attacks.lab.defended import Defended
from expunge.attacks.lab.provider import Provider
from expunge.attacks.lab.records import Asked, defence_scores, scores_of
from expunge.attacks.lab.settings import Lab, require_lab
from expunge.attacks.lab.worlds import chunks
from expunge.attacks.removal import Attacked
from expunge.bench.folder import SCORES, write_arrays
from expunge.bench.run_info import ATTACK as ATTACK_FOLDER
from expunge.bench.run_info import RunInfo, write_run
from expunge.engine import Watch, Workers, run_jobs, silent
from expunge.ensembles.builds import build
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import find_ensemble
from expunge.errors import BadSetting
from expunge.files import alone_with
from expunge.jobs import Job
from expunge.methods.settings import settings_in
from expunge.names import as_file_name
from expunge.records import Score, Setting, write_scores
from expunge.suites.suite import Suite
from expunge.timing import Work

METHOD, HONEST_REQUESTS = "method.", "attack.honest"  # what records say of who serves, and of who looks
REQUESTS = "requests"  # files begin so
PLAY, LOOK = 10.0, 3.0  # seconds of a job, on digits, until some have told


@dataclass(frozen=True, eq=False)
class Entry:
    """An attack that takes part in a run; its settings say who serves it, and which defences look on."""

    name: str
    row: Attack
    config: Lab

    @property
    def plays(self) -> list[tuple[Attacked, range]]:
        """Who serves, and which victims: one job each."""
        parts = chunks(range(self.config.models))
        return [(attacked, part) for attacked in self.config.methods for part in parts]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of an attack on each method, by its label, and of it there under each defence."""

    played: dict[str, Played] = field(default_factory=dict)
    defended: dict[tuple[str, str], Defended] = field(default_factory=dict)


def run_attack(
    name: str, row: Attack, suite: Suite, config: Lab, out: Path, *, workers: Workers = 1, watch: Watch = silent
) -> list[Score]:
    """Play the attack ``name`` of the lab on a suite and give its records; what was finished comes from the store.

    Files, written at the end: ``scores.jsonl``, ``requests-METHOD.npz`` with what was asked of each victim, and
    ``run.json`` with the SHA-256 of all.
    """
    require_attack(row, suite, config)
    prepare(out, name)
    entry = Entry(name, row, config)
    (outcome,) = play_all(suite, [entry], workers=workers, watch=watch)
    scores = records_of(suite, entry, outcome)
    write(out, name, suite, outcome.played, scores)
    return scores


def records_of(suite: Suite, entry: Entry, outcome: Outcome) -> list[Score]:
    """All records of an attack, method by method."""
    row, config, scores = entry.row, entry.config, []
    served = {each.label: each for each in config.methods}
    for label, each in outcome.played.items():
        facts = {NAME: entry.name, **config.facts, **serving_facts(suite, served[label], config)}
        place = Place(suite, Asked(each.requests), facts, config.models)
        note = row.note(each, config) if row.note else ""
        scores += scores_of(row, label, each, place, note)
        for defence in config.defences:
            found = outcome.defended[label, defence]
            told = replace(place, facts={**facts, HONEST_REQUESTS: config.honest})
            scores += defence_scores(row, label, defence, found, told, each.arms[ATTACK])
    return scores


def serving_facts(suite: Suite, attacked: Attacked, config: Lab) -> dict[str, Setting]:
    """The settings of the method that serves, those that were found for the suite among them."""
    provider = Provider(suite, attacked, range(config.models), config.seed)
    return {f"{METHOD}{key}": value for key, value in settings_in(provider.config).items()}


def play_all(suite: Suite, entries: Sequence[Entry], *, workers: Workers = 1, watch: Watch = silent) -> list[Outcome]:
    """Play attacks on all their methods' victims; defences look as soon as what they look at was played."""
    models = max(entry.config.models for entry in entries)
    if find_ensemble(Plan(suite, "pretrained"), models) is None:
        build(Plan(suite, "pretrained"), models, workers=workers, watch=watch)
    run = _Run(suite, entries)
    looks = [look_of(name) for entry in entries for _ in entry.config.methods for name in entry.config.defences]
    for _ in run_jobs(run.plays(), workers, watch, then=run.then, to_come=looks):
        pass
    return run.outcomes()


def look_of(defence: str) -> Work:
    """What a look is expected to take, roughly: of each defence it is found out as it runs."""
    return Work(LOOK, defence)


class _Run:
    """The jobs of several attacks, and what has come of them."""

    def __init__(self, suite: Suite, entries: Sequence[Entry]) -> None:
        self._suite, self._entries = suite, entries
        self._places: dict[int, tuple[Job, tuple[Any, ...]]] = {}  # by id; the job is held, or its id is given again
        self._parts: dict[tuple[int, str], dict[int, Played]] = {}
        self._found = [Outcome() for _ in entries]

    def plays(self) -> list[Job]:
        """One for each attack, method and part of the victims."""
        return [
            self._placed(
                Job(
                    f"{entry.name} on {attacked.label}",
                    play_on,
                    (entry.name, entry.row, self._suite, entry.config, attacked, models),
                    (self._suite,),
                    Work(PLAY, attacked.label),
                ),
                (number, attacked, models.start),
            )
            for number, entry in enumerate(self._entries)
            for attacked, models in entry.plays
        ]

    def then(self, job: Job, result: Any) -> Iterable[Job]:
        """Keep what a job has found; when a method's victims were all played against, the defences follow."""
        number, attacked, place = self._places[id(job)][1]
        found, entry = self._found[number], self._entries[number]
        if isinstance(result, Defended):
            found.defended[attacked.label, place] = result
            return ()
        parts = self._parts.setdefault((number, attacked.label), {})
        parts[place] = result
        if len(parts) < sum(each is attacked for each, _ in entry.plays):
            return ()
        found.played[attacked.label] = joined([parts[first] for first in sorted(parts)])
        return [self._look(number, attacked, defence) for defence in entry.config.defences]

    def _look(self, number: int, attacked: Attacked, defence: str) -> Job:
        entry, played = self._entries[number], self._found[number].played[attacked.label]
        given = (entry.name, entry.row, self._suite, entry.config, attacked, played, defence)
        label = f"{defence} against {entry.name} on {attacked.label}"
        return self._placed(
            Job(label, defend_against, given, (self._suite,), look_of(defence)), (number, attacked, defence)
        )

    def _placed(self, job: Job, place: tuple[Any, ...]) -> Job:
        self._places[id(job)] = job, place
        return job

    def outcomes(self) -> list[Outcome]:
        """What was found, in the order of the entries and their methods, whoever was done first."""
        return [
            replace(found, played={each.label: found.played[each.label] for each in entry.config.methods})
            for entry, found in zip(self._entries, self._found, strict=True)
        ]


def require_attack(row: Attack, suite: Suite, config: Lab) -> None:
    """Refuse what cannot be, before any work: what no attack can do, and what this one cannot."""
    if row.play is None:
        raise BadSetting(f"{row.module} has a run of its own; call that")
    require_lab(suite, config)
    row.check(suite, config)


def write(out: Path, name: str, suite: Suite, played: dict[str, Played], scores: Sequence[Score]) -> None:
    """Write all files of an attack, or ``matrix``, in the place of those of an earlier run of it; ``run.json``, which
    names them, last."""
    with alone_with(out):
        files = {}
        for label, each in played.items():
            file = f"{REQUESTS}-{as_file_name(label)}.npz"
            files[file] = write_arrays(out / file, asked(each.requests))
        files[SCORES] = write_scores(out / SCORES, scores)
        for old in out.glob(f"{REQUESTS}-*.npz"):
            if old.name not in files:
                old.unlink(missing_ok=True)
        write_run(out, RunInfo(kind=ATTACK_FOLDER, attack=name, suite=suite.name, suite_digest=suite.digest), files)
