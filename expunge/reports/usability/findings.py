"""What the records of a usability attack say, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.special import stdtr, stdtrit

from expunge.attacks.controls import INFLUENTIAL, MEMORISED, RANDOM
from expunge.attacks.defences import DEFENCES
from expunge.attacks.drops import DROP, EXCESS, RATIO
from expunge.attacks.evidence import ALONE, AUROC, GAIN, LOSS, LOST, ROUND, STEPS, TPR
from expunge.attacks.removal import ATTACK, RETRAINING
from expunge.errors import UserError
from expunge.metrics.calibration import holm
from expunge.records import Score, Setting
from expunge.reports.summaries import Interval

REQUESTS = (ATTACK, RANDOM, INFLUENTIAL, MEMORISED)
SURE = 0.05  # of a difference that is called one, after Holm's correction over the methods of one batching
CAUGHT = 0.5  # share of the models on which a defence must catch the request, at 1 % of false alarms, to be named
GUESSING = 0.5  # AUROC of a defence that says the same of all
TITLES = {ATTACK: "the attack's", RANDOM: "random", INFLUENTIAL: "most influential", MEMORISED: "most memorised"}
ORDINARY = 0.05  # AUROC up to which a request is told by how ordinary it looks


@dataclass(frozen=True)
class Served:
    """One method with one batching: points of accuracy lost by each request, and the attack's beside the controls'."""

    method: str
    drops: Mapping[str, Interval]  # by request; of random ones the mean over the draws, where there are several
    excess: Mapping[str, Interval]  # by control
    ratios: Mapping[str, Interval]
    klom: Mapping[str, Interval]  # by request: forget P95 against the oracles of that very request
    p_value: float | None  # that the attack loses no more and no less than random records, after Holm
    reason: str = ""  # why it failed

    @property
    def differs(self) -> bool:
        """Whether the attack's loss is told from that of random records."""
        return self.p_value is not None and self.p_value < SURE


@dataclass(frozen=True)
class Seen:
    """What a defence is worth."""

    name: str
    requests: tuple[Interval, Interval]  # AUROC, share caught at 1 % of false alarms
    records: tuple[Interval, Interval] | None

    @property
    def catches(self) -> bool:
        return self.requests[1].value >= CAUGHT

    @property
    def blind(self) -> bool:
        """Whether it says the same of all requests, as a check does that the attack passes like everybody."""
        return self.requests[0].value == GUESSING and self.requests[1].value == 0

    @property
    def too_ordinary(self) -> bool:
        """Whether nearly every honest request is more suspicious than the attack's."""
        return self.requests[0].high is not None and self.requests[0].high <= ORDINARY


@dataclass(frozen=True)
class Forgot:
    """What there is to forget of a request, and what it costs by ascent."""

    victims: Interval  # mean loss, nats
    oracles: Interval
    steps: Interval  # median
    lost: Interval
    late: str  # how many models did not get there, in words; "" for none


@dataclass(frozen=True)
class Findings:
    """All numbers of one attack."""

    suite: str
    facts: Mapping[str, Setting]
    models: int
    served: Mapping[str, Sequence[Served]]  # by batching
    gain: Interval | None
    alone: Mapping[str, Mapping[str, Interval]]  # by network, then "condensed" or "real"
    met: Mapping[str, float]  # by batching: share of the updates that meet a request of this size
    forgetting: Mapping[str, Mapping[str, Forgot]]  # by batching, request
    rounds: Mapping[str, Mapping[str, Mapping[str, Sequence[Interval]]]]  # by batching, request, method
    seen: Sequence[Seen]
    hardware: str

    @property
    def records(self) -> int:
        return int(self.facts["records"])

    @property
    def share(self) -> float:
        """Of the training data that the attack's records are."""
        return self.records / int(self.facts["train"])


def is_usability(scores: Sequence[Score]) -> bool:
    """Whether these are the records of a usability attack."""
    return any("attack.generator" in score.subject.config for score in scores)


def read_findings(scores: Sequence[Score]) -> Findings:
    """The findings of the records of one attack, as ``expunge attack usability`` wrote them."""
    if not is_usability(scores):
        raise UserError("these are no records of a usability attack; make some with `expunge attack usability`")
    first = next(score for score in scores if "attack.generator" in score.subject.config)
    facts = {
        key.removeprefix("attack."): value
        for key, value in first.subject.config.items()
        if key.startswith("attack.") and key not in ("attack.batching", "attack.request")
    }
    batchings = list(dict.fromkeys(_fact(score, "batching") for score in scores if _fact(score, "batching")))
    return Findings(
        suite=first.subject.suite.partition("+")[0],
        facts=facts,
        models=first.models,
        served={each: _served([score for score in scores if _fact(score, "batching") == each]) for each in batchings},
        gain=next((_interval(score) for score in scores if score.metric == GAIN), None),
        alone=_alone(scores),
        met={each: _met(scores, each) for each in batchings},
        forgetting={each: cost for each in batchings if (cost := _forgetting(scores, each))},
        rounds={each: after for each in batchings if (after := _rounds(scores, each))},
        seen=_seen(scores),
        hardware=first.subject.hardware,
    )


def _fact(score: Score, name: str) -> str:
    return str(score.subject.config.get(f"attack.{name}", ""))


def _interval(score: Score) -> Interval | None:
    return None if score.value is None else Interval(score.value, score.low, score.high, score.oracle)


def _cells(scores: Sequence[Score], metric: str, key: str = "request") -> dict[str, Interval]:
    """Numbers of a metric by request, or by what their aggregate names."""
    found = {}
    for score in scores:
        cell = _interval(score)
        if score.metric == metric and cell is not None:
            found[_fact(score, "request") if key == "request" else score.aggregate.split()[-1]] = cell
    return found


def _served(scores: Sequence[Score]) -> list[Served]:
    labels = list(dict.fromkeys(score.subject.method for score in scores if score.metric in (DROP, "klom")))
    rows = []
    for label in labels:
        own = [score for score in scores if score.subject.method == label]
        kloms = [score for score in own if (score.aggregate, score.split) == ("p95", "forget")]
        over = _cells(own, EXCESS, "aggregate")
        draws = _draws(own)
        freedom = own[0].models - 1 if draws is None else int(_fact(own[0], "draws")) - 1
        p_value = _p_value(over[RANDOM], freedom) if RANDOM in over else None
        reason = next((score.reason for score in own if score.status == "failed"), "")
        ratios = _cells(own, RATIO, "aggregate")
        means = [score for score in own if score.aggregate == "mean"]
        drops = _cells(means, DROP) | ({} if draws is None else {RANDOM: draws})
        rows.append(Served(label, drops, over, ratios, _cells(kloms, "klom"), p_value, reason))
    tested = [row for row in rows if row.p_value is not None and row.method != RETRAINING]
    corrected = dict(zip([row.method for row in tested], holm([row.p_value or 0.0 for row in tested]), strict=True))
    return [replace(row, p_value=float(corrected[row.method])) if row.method in corrected else row for row in rows]


def _draws(own: Sequence[Score]) -> Interval | None:
    """What random records cost, over all draws; None where there is one draw, or no draw was removed from victims."""
    drawn = [score for score in own if score.metric == DROP and score.aggregate.endswith("random draws")]
    return _interval(drawn[0]) if drawn else None


def _p_value(cell: Interval, freedom: int) -> float:
    """Of no difference, two-sided, from a number and its interval by Student's t with so many degrees of freedom.

    The longer half of the interval counts: an end may be cut, since no difference of shares is beyond 1.
    """
    if cell.low is None or cell.high is None:
        return 1.0
    half = max(cell.high - cell.value, cell.value - cell.low)
    if half == 0:
        return 1.0 if cell.value == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(cell.value) / half * stdtrit(freedom, 0.975)))


def _alone(scores: Sequence[Score]) -> dict[str, dict[str, Interval]]:
    found: dict[str, dict[str, Interval]] = {}
    for score in scores:
        cell = _interval(score)
        if score.metric == ALONE and cell is not None:
            data, _, network = score.subject.method.partition(" data, ")
            found.setdefault(network, {})[data] = cell
    return found


def _met(scores: Sequence[Score], batching: str) -> float:
    return max((float(_fact(score, "met") or 0) for score in scores if _fact(score, "batching") == batching), default=0)


def _forgetting(scores: Sequence[Score], batching: str) -> dict[str, Forgot]:
    found = {}
    for request in REQUESTS:
        own = [
            score
            for score in scores
            if (_fact(score, "batching"), _fact(score, "request")) == (batching, request)
            and score.metric in (LOSS, STEPS, LOST)
        ]
        cells = {(score.metric, score.aggregate): cell for score in own if (cell := _interval(score)) is not None}
        wanted = [(LOSS, "victims"), (LOSS, "oracles"), (STEPS, "median"), (LOST, "mean")]
        if all(key in cells for key in wanted):
            victims, oracles, steps, lost = (cells[key] for key in wanted)
            found[request] = Forgot(victims, oracles, steps, lost, own[0].reason)
    return found


def _rounds(scores: Sequence[Score], batching: str) -> dict[str, dict[str, list[Interval]]]:
    found: dict[str, dict[str, list[Interval]]] = {}
    for score in scores:
        cell = _interval(score)
        if score.metric == ROUND and _fact(score, "batching") == batching and cell is not None:
            found.setdefault(_fact(score, "request"), {}).setdefault(score.subject.method, []).append(cell)
    return found


def _seen(scores: Sequence[Score]) -> list[Seen]:
    found = []
    for name in DEFENCES:
        own = [score for score in scores if score.subject.method == name and score.metric in (AUROC, TPR)]
        cells = {(score.aggregate, score.metric): _interval(score) for score in own}
        area, caught = cells.get(("requests", AUROC)), cells.get(("requests", TPR))
        if area is None or caught is None:
            continue
        by_record = cells.get(("records", AUROC)), cells.get(("records", TPR))
        records = (by_record[0], by_record[1]) if by_record[0] and by_record[1] else None
        found.append(Seen(name, (area, caught), records))
    return found
