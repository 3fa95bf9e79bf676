"""What the records of a usability attack say, side by side; and in words, by rules that are stated."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

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
HARM = 0.005  # accuracy that victims may lack and be as good as others
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


def points(cell: Interval | None) -> str:
    """Percentage points with their interval, in words."""
    if cell is None or cell.low is None or cell.high is None:
        return "an unknown number of points"
    value, low, high = (round(100 * each, 1) + 0.0 for each in (cell.value, cell.low, cell.high))
    return f"{value} points [{low}, {high}]".replace("-", "−")


def _informative(found: Findings) -> str:
    parts = []
    for network, pair in found.alone.items():
        condensed, real = pair.get("condensed"), pair.get("real")
        if condensed and real:
            name = "the suite's own network" if network == "suite" else network
            parts.append(f"{_percent(condensed)} against {_percent(real)} ({name}), {_apart(condensed, real)}")
    if not parts:
        return ""
    return (
        "Networks trained on the condensed records alone, against as many real ones: "
        + "; ".join(parts)
        + "."
        + _benign(found)
    )


def _benign(found: Findings) -> str:
    """Whether victims are as good with the contribution as without: no more than HARM worse."""
    gain = found.gain
    if gain is None or gain.low is None or gain.high is None:
        return ""
    said = f" Victims trained with them, less models trained without: {points(gain)}"
    if gain.low >= -HARM:
        return said + ", so they do no harm in training."
    return said + (", so they harm in training." if gain.high < 0 else ", too few models to rule harm in training out.")


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
    met = f" ({100 * found.met.get(batching, 0):.0f} % of all updates meet a request of this size, whoever's it is)"
    worst = max(hit, key=lambda row: row.drops[ATTACK].value)
    lost = worst.drops[ATTACK]
    if lost.low is not None and lost.low <= 0:
        return f"No method is seen to lose accuracy; most under {worst.method}, {points(lost)}{met}."
    text = (
        f"Of {len(hit)} methods {worst.method} loses most by the removal of the attack's {found.records} records, "
        f"{100 * found.share:.1f} % of the data: {points(lost)}{met}"
    )
    others = [f"{TITLES[name]} {points(worst.drops[name])}" for name in REQUESTS[1:] if name in worst.drops]
    return text + (f". As many other records: {', '.join(others)}." if others else ".")


def _data_or_method(found: Findings) -> str:
    parts = []
    for batching, rows in found.served.items():
        methods = [row for row in rows if row.method != RETRAINING and row.p_value is not None]
        if not methods:
            continue
        more = [row.method for row in methods if row.differs and row.excess[RANDOM].value > 0]
        less = [row.method for row in methods if row.differs and row.excess[RANDOM].value < 0]
        part = f"With {batching} batches the attack's records cost more than random ones do under {len(more)} of "
        part += f"{len(methods)} methods" + (f" ({', '.join(more)})" if more else "")
        part += f", and less under {len(less)} ({', '.join(less)})" if less else ""
        parts.append(part + _exactly(rows))
    return " ".join(f"{part}." for part in parts)


def _exactly(rows: Sequence[Served]) -> str:
    """What retraining says of the data itself."""
    row = next((row for row in rows if row.method == RETRAINING and ATTACK in row.drops), None)
    if row is None:
        return ""
    lost = row.drops[ATTACK]
    text = f"; exact retraining without them loses {points(lost)}"
    text += f", without random ones {points(row.drops[RANDOM])}" if RANDOM in row.drops else ""
    if lost.low is not None and lost.low == lost.high:
        return text + ", all models alike, so nothing is told of others"
    if lost.low is not None and lost.low > 0:
        return text + ", so the data itself was worth something"
    return text + ", so what methods lose beyond it is theirs"


def _costlier(found: Findings) -> str:
    parts = []
    for batching, requests in found.forgetting.items():
        attack, ordinary = requests.get(ATTACK), requests.get(RANDOM)
        if attack and ordinary:
            told = {"more informative": "more", "less informative": "fewer"}.get(
                _apart(attack.steps, ordinary.steps), "not told apart"
            )
            parts.append(
                f"with {batching} batches {attack.steps.value:.0f} steps of ascent (median) for the attack's records, "
                f"whose loss is to rise from {attack.victims.value:.2g} to {attack.oracles.value:.2g} nats, and "
                f"{ordinary.steps.value:.0f} for random ones, from {ordinary.victims.value:.2g} to "
                f"{ordinary.oracles.value:.2g}: {told}"
            )
    if not parts:
        return ""
    return (
        "Until the loss is that of retraining: "
        + "; ".join(parts)
        + ". Steps say how flat the loss is there: records that are fitted well take many for little."
    )


def _noticed(found: Findings) -> str:
    if not found.seen:
        return ""
    catching, seeing = [each for each in found.seen if each.catches], [each for each in found.seen if not each.blind]
    text = f"None of {len(seeing)} defences catches this request on half of the models at 1 % of false alarms."
    if catching:
        named = "; ".join(f"{each.name} ({DEFENCES[each.name].price})" for each in catching)
        text = f"At 1 % of false alarms {len(catching)} of {len(seeing)} defences catch this request: {named}."
    ordinary = [each.name for each in found.seen if each.too_ordinary]
    if ordinary:
        text += (
            f" To {', '.join(ordinary)} it looks more ordinary than nearly all honest ones: turned round, they would "
            "tell it too."
        )
    blind = [each.name for each in found.seen if each.blind]
    return text + (f" The same to all requests, and so not counted: {', '.join(blind)}." if blind else "")
