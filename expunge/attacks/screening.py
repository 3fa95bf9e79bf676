"""Is an attack noticed? Every defence looks at the attack's request among honest ones of the same size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from expunge.attacks.defence import Remove, Scene, by_request
from expunge.attacks.defences import DEFENCES
from expunge.attacks.detection import HONEST, Detection, detection, record_detection
from expunge.attacks.injection import Injection
from expunge.attacks.kept import kept
from expunge.attacks.removal import Attacked, tasks_of
from expunge.engine import Watch, Workers, run_jobs, silent
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.pretraining import pretrain
from expunge.ensembles.seeds import seed_of
from expunge.errors import lookup
from expunge.jobs import Job, one_thread
from expunge.methods.running import run_method
from expunge.methods.task import Task
from expunge.suites.request import Request
from expunge.suites.suite import ForgetSet, Suite


@dataclass(frozen=True)
class Screened:
    """What a defence is worth against the attack: by requests and, where it looks at records, by records."""

    requests: Detection
    records: Detection | None = None


def attackers_requests(injection: Injection) -> list[Request]:
    """One request of each owner that asks."""
    return [injection.request(owner, np.sort(injection.owners[owner])) for owner in injection.asking]


def honest_requests(injection: Injection, count: int, seed: int) -> list[Request]:
    """Requests of owners who are none of the attack's, each for as many records as one of those, drawn uniformly."""
    rng = np.random.default_rng(seed_of(injection.suite.digest, "honest requests", seed))
    owned = np.concatenate(list(injection.owners.values()))
    free = np.setdiff1d(np.arange(injection.suite.data.sizes[0]), owned)
    size, train = len(injection.owners[injection.asking[0]]), injection.suite.data.train
    chosen = [np.sort(rng.permutation(free)[:size]) for _ in range(count)]
    return [Request(train.take(rows), rows, f"honest-{number}") for number, rows in enumerate(chosen)]


def screen(
    injection: Injection,
    names: Sequence[str],
    models: int,
    *,
    gate: Attacked,
    honest: int = 200,
    seed: int = 0,
    workers: Workers = 1,
    watch: Watch = silent,
) -> dict[str, Screened]:
    """Each of these defences on the first ``models`` victims, before the attack's request and ``honest`` others.

    ``gate`` is the method by which a defence tries a removal, where it does.
    """
    for name in names:
        lookup("defence", name, DEFENCES)
    attack = injection.attack
    malicious = attackers_requests(injection)
    requests = [*malicious, *honest_requests(injection, honest, seed)]
    task = tasks_of(injection, [gate], {"attack": attack}, seed)[0][0]
    jobs = [
        Job(f"defence {name}", suspicions, (injection.suite, name, requests, task, models), (injection.suite,))
        for name in names
    ]
    places = {id(job): name for job, name in zip(jobs, names, strict=True)}
    found: dict[str, Screened] = {}
    for job, (of_requests, of_records) in run_jobs(jobs, workers, watch):
        name = places[id(job)]
        told = of_records is not None and of_records.shape[1] - len(attack) >= HONEST  # fewer others tell no 1 %
        found[name] = Screened(
            detection(of_requests[:, : len(malicious)], of_requests[:, len(malicious) :]),
            record_detection(of_records, attack.indices) if told else None,
        )
    return {name: found[name] for name in names}


def suspicions(
    suite: Suite, name: str, requests: Sequence[Request], task: Task, models: int
) -> tuple[ndarray, ndarray | None]:
    """How suspicious a defence finds each request, and each training record where it looks at those.

    Out of the store where it was measured before.
    """
    facts = [name, [request.indices.tolist() for request in requests], models, task.name, task.settings]
    modules = [DEFENCES[name].module, *task.modules]
    found = kept(suite, "suspicions", facts, modules, lambda: _suspicions(suite, name, requests, task, models))
    return found["requests"], found.get("records")


def _suspicions(suite: Suite, name: str, requests: Sequence[Request], task: Task, models: int) -> dict[str, ndarray]:
    defence, victims = DEFENCES[name], pretrain(suite, models, watch=silent)
    validation = np.arange(0, suite.data.sizes[1], 2)  # every other test example is the provider's to look at
    scene = Scene(suite, victims, requests, removal_by(task, victims), validation)
    with one_thread():
        if defence.records is None:
            return {"requests": defence.suspicion(scene)}
        records = defence.records(scene)
    return {"records": records, "requests": by_request(records, requests)}


def removal_by(task: Task, victims: Ensemble) -> Remove:
    """The provider's way of removal: the method of ``task``, with its settings, on any honest request."""

    def remove(request: Request) -> Ensemble:
        forget = ForgetSet("tried", np.sort(request.indices), f"a request of {request.owner}")
        last = victims
        for step in run_method(task.name, task.method, task.config, victims, task.suite, forget, task.seed):
            last = step.ensemble
        return last

    return remove
