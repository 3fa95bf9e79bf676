"""What the findings of a usability attack answer to a reader's questions: in words, by rules that are stated."""

import math
from collections.abc import Sequence

from expunge.attacks.controls import RANDOM
from expunge.attacks.defences import DEFENCES
from expunge.attacks.removal import ATTACK, RETRAINING
from expunge.reports.summaries import Interval
from expunge.reports.usability.findings import REQUESTS, TITLES, Findings, Served

HARM = 0.005  # accuracy that victims may lack and be as good as others


def answers(found: Findings) -> list[tuple[str, str]]:
    """The questions that a reader has, and what the numbers answer."""
    given = [("How informative is the data?", _informative(found))]
    for batching, rows in found.served.items():
        given.append((f"What does removal cost, {batching} batches?", _cost(rows, batching, found)))
    given += [
        ("Is it the data or the method?", _data_or_method(found)),
        ("Is it costlier to forget?", _costlier(found)),
        ("Who notices?", _noticed(found)),
    ]
    return [(question, answer) for question, answer in given if answer]


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
