"""An audit is run: a method unlearns what it has not, its models are set beside oracles, and attacked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from expunge.audits import AUDITS, default_audits
from expunge.audits.audit import Audited
from expunge.audits.evidence import Evidence
from expunge.audits.judgement import judge
from expunge.audits.shadows import Labour
from expunge.bench.independence import require_independent
from expunge.bench.plan import ALL, ANCHORS, BenchPlan, plan_bench
from expunge.bench.rows import rows_of
from expunge.bench.run import unlearn_job
from expunge.bench.score import compared, reference_of
from expunge.engine import Watch, Workers, run_jobs, silent
from expunge.ensembles import Ensemble
from expunge.ensembles.pretraining import watching
from expunge.ensembles.stored_margins import EnsembleMargins
from expunge.errors import BadMargins, BadSetting, MethodFailed, TooFewModels, lookup
from expunge.methods import METHODS, configure
from expunge.methods.task import Outcome, Task, finished
from expunge.methods.tuned import BUDGET
from expunge.metrics import Row
from expunge.names import require_name
from expunge.records import Score, why_untrue
from expunge.suites import ForgetSet, Suite
from expunge.verdicts import Verdict


@dataclass(frozen=True)
class AuditedRow:
    """What was found of a method on a forget set; ``failed`` says why nothing was, "" where something was."""

    method: str
    found: Mapping[str, Audited] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)  # audits that could not be done, and why
    verdict: Verdict | None = None
    failed: str = ""

    @property
    def scores(self) -> list[Score]:
        """Its records, audit after audit."""
        return [score for each in self.found.values() for score in each.scores]


def run_audits(
    suite: Suite | str,
    forget_set: str,
    methods: Sequence[str],
    *,
    models: int = 100,
    oracles: int | None = None,
    audits: Sequence[str] | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    tuning: str = "tuned",
    budget: float = BUDGET,
    seed: int = 0,
    workers: Workers = 1,
    watch: Watch = silent,
) -> list[AuditedRow]:
    """Attack what each method makes, to find what is left of a forget set; default: all ``audits`` that train nothing.

    Arguments are those of :func:`~expunge.bench.plan.plan_bench`; models that a bench unlearned are taken from the
    store. ``identity`` and ``oracle`` count as methods: in the one an attack should find the data, in the other never.
    """
    names = audits_named(audits)
    plan = plan_bench(
        suite,
        list(methods) or None,
        [forget_set],
        models=models,
        oracles=oracles,
        settings=settings,
        tuning=tuning,
        budget=budget,
        seed=seed,
    )
    if not methods:
        raise BadSetting(f"name a method to audit, for example scrub; or {' or '.join(ANCHORS)}")
    by_name = {task.name: task for task in plan.tasks}
    tasks = [by_name[name] for name in dict.fromkeys(by_name if ALL in methods else methods)]
    for task in tasks:
        require_name("method", task.name)
        task.require(range(plan.models))
    plan.require()
    outcomes = _unlearned(plan, tasks, workers, watch)
    return [_audited(plan, task, outcomes[task.name], names, Labour(workers, watch)) for task in tasks]


def audit(
    after: Ensemble | EnsembleMargins,
    oracle: Ensemble | EnsembleMargins,
    *,
    suite: Suite | None = None,
    forget: ForgetSet | Any | None = None,
    audits: Sequence[str] | None = None,
    workers: Workers = 1,
    watch: Watch | None = None,
) -> AuditedRow:
    """Attack ``after`` to find what it holds of the oracles' forget set; arguments as for :func:`expunge.evaluate`.

    Beside each number stands what the same number of held-out oracles get. With ``audits=["all"]``, audits that need
    models run if ``after`` is an ensemble, and those that unlearn shadow models if a method of the table made it.
    """
    names = audits_named(audits)
    with watching("audit", watch, at_once=True) as seen:
        row, reference = compared(after, oracle, suite, forget, "audit")
        return examine(Evidence(row, reference, Labour(workers, seen), _task_of(row)), names)


def _task_of(row: Row) -> Task | None:
    """How the models were unlearned; None where that is not known."""
    if row.method not in METHODS or METHODS[row.method].anchor:
        return None
    config = configure(row.method, METHODS[row.method], row.config)
    return Task(row.suite, row.forget, row.method, config, row.seed)


def audits_named(audits: Sequence[str] | None) -> tuple[str, ...]:
    """The audits of these names, each once; all of them for "all"."""
    if audits is None:
        return default_audits()
    chosen = [each for name in audits for each in (AUDITS if name == ALL else [name])]
    for name in chosen:
        lookup("audit", name, AUDITS)
    return tuple(dict.fromkeys(chosen))


def examine(evidence: Evidence, names: Iterable[str]) -> AuditedRow:
    """What the audits of these names find of a row; :class:`BadMargins` where its models are the oracles."""
    require_independent(evidence.row, evidence.reference)
    found, lacking = {}, {}
    for name in names:
        one = AUDITS[name]
        if line := one.lacking(evidence):
            lacking[name] = line
            continue
        try:
            found[name] = one.scores(evidence)
        except TooFewModels as error:
            lacking[name] = str(error)
            continue
        _require_sound(name, found[name].scores)
    subject = evidence.row.subject(__name__)
    return AuditedRow(evidence.row.method, found, lacking, judge(subject, found))


def _audited(
    plan: BenchPlan, task: Task, outcomes: Sequence[Outcome], names: Sequence[str], labour: Labour
) -> AuditedRow:
    reasons = [each.reason for each in outcomes if each.reason]
    if reasons:
        return AuditedRow(task.name, failed=reasons[0])
    reference = reference_of(plan.suite, task.forget, plan.models, plan.oracles)
    row: Row = rows_of(task, outcomes, plan.models, reference)[-1]
    try:
        found = examine(Evidence(row, reference, labour, task), names)
    except (BadMargins, MethodFailed) as error:  # or an audit asked for models that could not be made again
        return AuditedRow(task.name, failed=str(error))
    if not found.found:
        name, why = next(iter(found.lacking.items()))
        return AuditedRow(task.name, failed=f"no audit could be done; {name}: {why}")
    return found


def _unlearned(plan: BenchPlan, tasks: Sequence[Task], workers: Workers, watch: Watch) -> dict[str, list[Outcome]]:
    """What the store has of these tasks, in the order of the models; what it lacks is unlearned now."""
    outcomes: dict[str, list[Outcome]] = {task.name: [] for task in tasks}
    jobs = []
    for task in tasks:
        for part in [] if task.method.anchor else task.chunks(range(plan.models)):
            if kept := finished(task, part):
                outcomes[task.name].append(kept)
            else:
                jobs.append(unlearn_job(task, part, plan.keep_weights))
    for job, outcome in run_jobs(jobs, workers, watch):
        outcomes[job.task.name].append(outcome)  # type: ignore[attr-defined]
    return {name: sorted(found, key=lambda each: each.models.start) for name, found in outcomes.items()}


def _require_sound(name: str, scores: Sequence[Score]) -> None:
    """Hold the records of an audit to its row: an audit that breaks this is wrong, whatever it was given."""
    aggregates = AUDITS[name].aggregates
    for score in scores:
        doubt = why_untrue(score)
        if score.metric != name or score.aggregate not in aggregates or doubt:
            raise ValueError(f"audit {name!r} made a record {score.metric!r} {score.aggregate!r}: {doubt or 'unnamed'}")
