"""What the records of a usability attack say, side by side; and in words, by rules that are stated."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from scipy.special import stdtr, stdtrit

from expunge.attacks.controls import INFLUENTIAL, MEMORISED, RANDOM
from expunge.attacks.defences import DEFENCES
from expunge.attacks.drops import ATTACK, DROP, EXCESS, RATIO
from expunge.attacks.evidence import ALONE, AUROC, GAIN, LOST, ROUND, STEPS, TPR
from expunge.attacks.removal import RETRAINING
from expunge.errors import UserError
from expunge.metrics.calibration import holm
from expunge.records import Score, Setting
from expunge.reports.summaries import Interval

REQUESTS = (ATTACK, RANDOM, INFLUENTIAL, MEMORISED)
SURE = 0.05  # of a difference that is called one, after Holm's correction over the methods of one batching
CAUGHT = 0.5  # share of the attack's requests that a defence must catch at 1 % of false alarms to be named

ORDINARY = 0.05  # AUROC up to which a request is told by how ordinary it looks


@dataclass(frozen=True)
class Served:
    """One method with one batching: points of accuracy lost by each request, and the attack's beside the controls'."""

    method: str
    drops: Mapping[str, Interval]  # by request
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
    def too_ordinary(self) -> bool:
        """Whether nearly every honest request is more suspicious than the attack's."""
        return self.requests[0].high is not None and self.requests[0].high <= ORDINARY


@dataclass(frozen=True)
class Findings:
    """All numbers of one attack."""

    suite: str
    facts: Mapping[str, Setting]
    models: int
    served: Mapping[str, Sequence[Served]]  # by batching
    gain: Interval | None
    alone: Mapping[str, Mapping[str, Interval]]  # by network, then "condensed" or "real"
    forgetting: Mapping[str, Mapping[str, Mapping[str, Interval]]]  # by batching, metric, request
    late: Mapping[str, Mapping[str, str]]  # by batching, request: why there are no steps
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

    @cached_property
    def answers(self) -> list[tuple[str, str]]:
        """The questions that a reader has, and what the numbers answer."""
        found = [("How informative is the data?", _informative(self))]
        for batching, rows in self.served.items():
            found.append((f"What does removal cost, {batching} batches?", _cost(rows, batching, self)))
        found += [
            ("Is it the data or the method?", _data_or_method(self)),
            ("Is it costlier to forget?", _costlier(self)),
            ("Who notices?", _noticed(self)),
        ]
        return [(question, answer) for question, answer in found if answer]


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
        forgetting={each: _forgetting(scores, each) for each in batchings},
        late={each: _late(scores, each) for each in batchings},
        rounds={each: found for each in batchings if (found := _rounds(scores, each))},
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
        p_value = _p_value(over[RANDOM], own[0].models) if RANDOM in over else None
        reason = next((score.reason for score in own if score.status == "failed"), "")
        ratios = _cells(own, RATIO, "aggregate")
        rows.append(Served(label, _cells(own, DROP), over, ratios, _cells(kloms, "klom"), p_value, reason))
    tested = [row for row in rows if row.p_value is not None and row.method != RETRAINING]
    corrected = dict(zip([row.method for row in tested], holm([row.p_value or 0.0 for row in tested]), strict=True))
    return [replace(row, p_value=float(corrected[row.method])) if row.method in corrected else row for row in rows]


def _p_value(cell: Interval, models: int) -> float:
    """Of no difference, two-sided, from a number and its interval by Student's t over so many models.

    The longer half of the interval counts: an end may be cut, since no difference of shares is beyond 1.
    """
    if cell.low is None or cell.high is None:
        return 1.0
    half = max(cell.high - cell.value, cell.value - cell.low)
    if half == 0:
        return 1.0 if cell.value == 0 else 0.0
    freedom = models - 1
    return float(2 * stdtr(freedom, -abs(cell.value) / half * stdtrit(freedom, 0.975)))


def _alone(scores: Sequence[Score]) -> dict[str, dict[str, Interval]]:
    found: dict[str, dict[str, Interval]] = {}
    for score in scores:
        cell = _interval(score)
        if score.metric == ALONE and cell is not None:
            data, _, network = score.subject.method.partition(" data, ")
            found.setdefault(network, {})[data] = cell
    return found


def _forgetting(scores: Sequence[Score], batching: str) -> dict[str, dict[str, Interval]]:
    own = [score for score in scores if _fact(score, "batching") == batching]
    return {metric: _cells(own, metric) for metric in (STEPS, LOST)}


def _late(scores: Sequence[Score], batching: str) -> dict[str, str]:
    return {
        _fact(score, "request"): score.reason
        for score in scores
        if score.metric == STEPS and score.value is None and _fact(score, "batching") == batching
    }


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


def points(cell: Interval | None) -> str:
    """Percentage points with their interval, in words."""
    if cell is None or cell.low is None or cell.high is None:
        return "an unknown number of points"
    value, low, high = (round(100 * each, 1) + 0.0 for each in (cell.value, cell.low, cell.high))
    return f"{value} points [{low}, {high}]"


def _informative(found: Findings) -> str:
    parts = []
    for network, pair in found.alone.items():
        condensed, real = pair.get("condensed"), pair.get("real")
        if condensed and real:
            name = "the suite's own network" if network == "suite" else network
            parts.append(f"{_percent(condensed)} against {_percent(real)} ({name}), {_apart(condensed, real)}")
    if not parts:
        return ""
    benign = ""
    if found.gain is not None:
        benign = f" In training the records are no harm: with them victims have {points(found.gain)} more accuracy."
        if found.gain.high is not None and found.gain.high < 0:
            benign = f" In training the records harm: with them victims have {points(found.gain)} more accuracy."
    return (
        "Networks trained on the condensed records alone, against as many real ones: " + "; ".join(parts) + "." + benign
    )


def _percent(cell: Interval) -> str:
    if cell.low is None or cell.high is None:
        return f"{100 * cell.value:.1f} %"
    return f"{100 * cell.value:.1f} % [{100 * cell.low:.1f}, {100 * cell.high:.1f}]"


def _apart(one: Interval, other: Interval) -> str:
    low, high = (-math.inf if one.low is None else one.low), (math.inf if one.high is None else one.high)
    other_low = -math.inf if other.low is None else other.low
    other_high = math.inf if other.high is None else other.high
    if low > other_high:
        return "more informative"
    return "less informative" if high < other_low else "not told apart"


def _cost(rows: Sequence[Served], batching: str, found: Findings) -> str:
    hit = [row for row in rows if row.method != RETRAINING and ATTACK in row.drops]
    if not hit:
        return ""
    worst = max(hit, key=lambda row: row.drops[ATTACK].value)
    text = (
        f"The removal of the attack's {found.records} records ({100 * found.share:.1f} % of the data) costs most under "
        f"{worst.method}: {points(worst.drops[ATTACK])}"
    )
    others = [f"{points(worst.drops[name])} for {name} ones" for name in REQUESTS[1:] if name in worst.drops]
    text += f"; as many ordinary records cost {', '.join(others)}." if others else "."
    return text


def _data_or_method(found: Findings) -> str:
    parts = []
    for batching, rows in found.served.items():
        methods = [row for row in rows if row.method != RETRAINING and row.p_value is not None]
        more = [row.method for row in methods if row.differs and row.excess[RANDOM].value > 0]
        less = [row.method for row in methods if row.differs and row.excess[RANDOM].value < 0]
        part = (
            f"With {batching} batches the attack's records cost more than random ones under {len(more)} of "
            f"{len(methods)} methods"
        )
        part += f" ({', '.join(more)})" if more else ""
        part += f", and less under {len(less)} ({', '.join(less)})" if less else ""
        retrained = next((row for row in rows if row.method == RETRAINING and ATTACK in row.drops), None)
        if retrained is not None:
            part += f"; exact retraining loses {points(retrained.drops[ATTACK])} without them"
            part += f", {points(retrained.drops[RANDOM])} without random ones" if RANDOM in retrained.drops else ""
        parts.append(part)
    return ". ".join(parts) + "." if parts else ""


def _costlier(found: Findings) -> str:
    parts = []
    for batching, cells in found.forgetting.items():
        steps, late = cells.get(STEPS, {}), found.late.get(batching, {})
        attack, ordinary = steps.get(ATTACK), steps.get(RANDOM)
        for request, whose in ((ATTACK, "the attack's"), (RANDOM, "random")):
            if request in late:
                parts.append(f"with {batching} batches, for {whose} records: {late[request]}")
        if attack and ordinary and attack.low is not None and ordinary.high is not None:
            told = {"more informative": "costlier", "less informative": "cheaper"}.get(
                _apart(attack, ordinary), "not told apart"
            )
            parts.append(
                f"with {batching} batches {attack.value:.0f} steps of ascent against {ordinary.value:.0f} for random "
                f"records, {told}"
            )
    if not parts:
        return ""
    return "Until the forget loss is that of retraining it takes, " + "; ".join(parts) + "."


def _noticed(found: Findings) -> str:
    if not found.seen:
        return ""
    catching = [each for each in found.seen if each.catches]
    text = f"None of {len(found.seen)} defences catches half of the attack's requests at 1 % of false alarms."
    if catching:
        named = "; ".join(f"{each.name} ({DEFENCES[each.name].price})" for each in catching)
        text = f"At 1 % of false alarms {len(catching)} of {len(found.seen)} defences catch the request: {named}."
    ordinary = [each.name for each in found.seen if each.too_ordinary]
    if ordinary:
        text += (
            f" To {', '.join(ordinary)} the request looks more ordinary than nearly all honest ones: turned round, "
            "they would tell it too."
        )
    return text
