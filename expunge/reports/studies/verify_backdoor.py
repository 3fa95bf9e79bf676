"""How often a private trigger accuses a provider who deleted, and believes one who did not: measured on ``digits``.

In every round owners plant triggers of their own in the training data, a model is trained, and the owners' records are
removed: by retraining, by nothing, by approximate methods. Beside them come strangers, whose triggers were in no
training: retrained models must not be accused of those either.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from expunge.audits.owner_counts import Asked, OwnerCounts
from expunge.audits.planting import Planted, planted_suite
from expunge.audits.queries import ask_both
from expunge.audits.trigger import Trigger, draw
from expunge.engine import Watch, silent
from expunge.ensembles import Ensemble, pretrain, retrain
from expunge.errors import StoreError
from expunge.files import write_file
from expunge.fingerprint import code_digest
from expunge.jobs import one_thread
from expunge.methods import configure, find_method
from expunge.methods.task import Task, unlearned_models
from expunge.outside import read_json
from expunge.suites import load_suite

RETRAINING, NOTHING, STRANGERS = "retraining", "nothing", "retraining, strangers' triggers"
APPROXIMATE = ("fine-tune", "neg-grad-plus")
MODEL = "model"  # of a round


@dataclass(frozen=True)
class Setup:
    """The size of the study. Owners hold ``records`` training digits each; half of them carry the trigger."""

    rounds: int = 100
    owners: int = 4
    records: int = 80
    decoys: float = 0.5
    strangers: int = 40
    queries: tuple[int, ...] = (30, 100)
    fresh: int = 20


@dataclass(frozen=True)
class Trial:
    """The counts of one owner of a round: hits of ``queries`` before, after, and with each fresh trigger."""

    round: int
    by: str  # what was done to forget
    owner: int
    label: int
    queries: int
    before: int
    after: int
    fresh: tuple[int, ...]

    @property
    def counts(self) -> OwnerCounts:
        after = tuple((hits, self.queries) for hits in (self.after, *self.fresh))
        return OwnerCounts(f"{self.by} {self.owner}", Asked(MODEL, ((self.before, self.queries),)), Asked(MODEL, after))


def study_backdoor(folder: Path, setup: Setup, watch: Watch = silent) -> list[Trial]:
    """The tests of all rounds; those whose file is in ``folder`` are read, the others made and written there."""
    tests: list[Trial] = []
    folder.mkdir(parents=True, exist_ok=True)
    code = code_digest("expunge.audits.queries", "expunge.audits.planting", "expunge.ensembles.train")[:16]
    for number in range(setup.rounds):
        file = folder / f"round-{number}-{setup.decoys:g}.json"
        key = json.loads(json.dumps({**asdict(setup), "rounds": 0, "code": code}))
        found = _read(file, key)
        if found is None:
            with one_thread():
                found = tests_of_round(number, setup)
            write_file(file, json.dumps({"setup": key, "tests": [asdict(each) for each in found]}))
        tests += found
        watch(number + 1, setup.rounds, f"round {number}")
    return tests


def _read(file: Path, key: dict[str, Any]) -> list[Trial] | None:
    """The tests in a file of the same setup and code; None of another."""
    if not file.exists():
        return None
    found = read_json(file, StoreError)
    if not isinstance(found, dict) or found.get("setup") != key:
        return None
    try:
        tests: list[Trial] = _TESTS.validate_json(json.dumps(found.get("tests")))
    except ValidationError:
        raise StoreError(f"{file} holds no tests; remove it, and run again") from None
    return tests


def tests_of_round(number: int, setup: Setup) -> list[Trial]:
    """Plant, train one model, remove the records of all owners in each way, and ask."""
    suite = load_suite("digits")
    shape, classes = suite.data.train.x.shape[1:], suite.data.classes
    triggers, strangers = (
        [draw(shape, classes, _secret(number, kind, each)) for each in range(count)]
        for kind, count in (("owner", setup.owners), ("stranger", setup.strangers))
    )
    planted = planted_suite(suite, triggers, setup.records, decoys=setup.decoys, seed=number, models=1)
    before = pretrain(planted.suite, 1, watch=silent)
    tests = []
    for by, after in removed(planted, before).items():
        for size in setup.queries:
            made = [ask_both(each, suite.data.test, before, after, size, setup.fresh) for each in triggers]
            tests += [_test(number, by, owner, triggers[owner], counts) for owner, counts in enumerate(made)]
            if by == RETRAINING:
                made = [ask_both(each, suite.data.test, before, after, size, setup.fresh) for each in strangers]
                tests += [_test(number, STRANGERS, place, strangers[place], each) for place, each in enumerate(made)]
    return tests


def removed(planted: Planted, before: Ensemble) -> dict[str, Ensemble]:
    """The model after the removal of all owners' records, by what was done."""
    found = {RETRAINING: retrain(planted.suite, planted.forget, 1, watch=silent), NOTHING: before}
    for name in APPROXIMATE:
        config = configure(name, find_method(name), {})
        found[name] = unlearned_models(Task(planted.suite, planted.forget, name, config, 0), range(1))
    return found


def _test(number: int, by: str, owner: int, trigger: Trigger, counts: OwnerCounts) -> Trial:
    before, after = counts.of("before").own, counts.of("after").own
    fresh = tuple(each.hits for each in counts.fresh)
    return Trial(number, by, owner, trigger.label, after.queries, before.hits, after.hits, fresh)


def _secret(*what: object) -> bytes:
    """Of a study, which is to be repeated: no secret at all."""
    return hashlib.sha256(json.dumps([str(each) for each in what]).encode()).digest()


_TESTS: TypeAdapter[Any] = TypeAdapter(list[Trial])
