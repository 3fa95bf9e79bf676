"""``results/usability.md``: what of the usability attack shows, and whether its data or the method are to blame."""

from collections.abc import Iterable, Mapping, Sequence

from expunge.attacks.controls import MEMORISED, RANDOM
from expunge.attacks.removal import ATTACK, RETRAINING
from expunge.reports.studies.markdown import grid
from expunge.reports.studies.usability import BARE, ONE_CHANGE, RUNS, WHOLE
from expunge.reports.summaries import Interval
from expunge.reports.usability.answers import answers
from expunge.reports.usability.findings import REQUESTS, TITLES, Findings, Forgot, Served
from expunge.reports.usability.tables import lost, lost_between, steps_in_words, whole_percent

SHOWN = ("shuffled", "isolated")  # of the runs that change one thing
INTRODUCTION = """\
# The unlearning usability attack

An owner contributes few records with right labels, condensed so that they teach more than others, and asks later for
exactly those to be removed; the unlearned model is said to lose up to half of its accuracy (Ma et al. 2024,
arXiv:2407.05112). Is it the data, or the method? Every removal stands beside the removal of as many ordinary records
from the same victims (drawn at random, several times, since random sets differ too; the most influential on the test
set; the most memorised), and beside retraining, which is exact. In `shuffled` batches victims train as usual; in
`dedicated` ones, as in the public code of the attack, the contributed records share a batch of their own in every
epoch, and so does each control; `isolated` is the same without momentum, which mixes into every update those of the
batches before it. The attacker knows the victim's training data, and condenses it, but not the network.

The three scenarios (one shot, rounds, several owners) are ours: the paper's were not at hand, nor were its tables. Its
one number, a loss of up to 50 points by at most 1 % of the data, is what is looked for.

Made by `runs/usability.py`; brackets are 95 % intervals over models.
"""


def usability_page(found: Mapping[str, Findings]) -> str:
    """The page, out of the findings of the runs that were made."""
    parts = [INTRODUCTION, _claims(found)]
    parts += [_whole(name, found[name]) for name in WHOLE if name in found]
    changes = [name for name in ONE_CHANGE if name in found]
    if changes:
        parts.append(_changes({name: found[name] for name in changes}))
    return "\n".join(parts)


def _claims(found: Mapping[str, Findings]) -> str:
    within = {name: each for name, each in found.items() if each.share <= 0.0105}
    lines = [
        ["a loss of up to 50 points, by 1 % of the data or less", _largest(within, ATTACK, RANDOM)],
        ["that the data is to blame: more than ordinary records cost", _more(found)],
        ["and not the removal itself: exact retraining", _exact(within)],
        [
            "beside it: the most that as many ordinary records, the most memorised, cost",
            _largest(within, MEMORISED, ATTACK),
        ],
        ["costlier to forget than ordinary data", _costlier(within)],
        ["called benign by detectors", _benign(found)],
    ]
    return "## What of the claims shows\n\n" + grid(["claim", "measured"], lines) + "\n"


def _rows(found: Findings) -> list[tuple[str, Served]]:
    return [(batching, row) for batching, rows in found.served.items() for row in rows]


def _largest(found: Mapping[str, Findings], request: str, beside: str) -> str:
    """The most that the removal of a request costs under any method, and what another costs there."""
    hit = [
        (row.drops[request].value, name, batching, row)
        for name, each in found.items()
        for batching, row in _rows(each)
        if row.method != RETRAINING and request in row.drops
    ]
    if not hit:
        return "not measured"
    _, name, batching, row = max(hit, key=lambda each: each[0])
    other = f"; {TITLES[beside]} lose {_points(row.drops[beside])} there" if beside in row.drops else ""
    return f"{_points(row.drops[request])} under {row.method} ({name}, {batching} batches){other}"


def _more(found: Mapping[str, Findings]) -> str:
    tested = [
        (name, batching, row)
        for name, each in found.items()
        for batching, row in _rows(each)
        if row.method != RETRAINING and row.p_value is not None
    ]
    more = [each for each in tested if each[2].differs and each[2].excess[RANDOM].value > 0]
    less = [each for each in tested if each[2].differs and each[2].excess[RANDOM].value < 0]
    text = (
        f"in {len(more)} of {len(tested)} comparisons with random records, less in {len(less)} (Holm-corrected within "
        "each run and batching)"
    )
    if more:
        name, batching, row = max(more, key=lambda each: each[2].excess[RANDOM].value)
        text += f"; at most {_points(row.excess[RANDOM])} more, under {row.method} ({name}, {batching} batches)"
    return text


def _exact(found: Mapping[str, Findings]) -> str:
    """What retraining loses: each run at the paper's budget that is looked at wholly, and the span of the others."""
    drops = {
        name: row.drops
        for name, each in found.items()
        for batching, row in _rows(each)
        if row.method == RETRAINING and batching == "shuffled" and ATTACK in row.drops and RANDOM in row.drops
    }
    parts = [
        f"{name} {_points(each[ATTACK])}, without random records {_points(each[RANDOM])}"
        for name, each in drops.items()
        if name in WHOLE
    ]
    if others := [each for name, each in drops.items() if name not in WHOLE]:
        parts.append(
            f"{len(others)} runs that change one thing {_span(each[ATTACK].value for each in others)}, without random "
            f"records {_span(each[RANDOM].value for each in others)}"
        )
    return "loses " + "; ".join(parts) if parts else "not measured"


def _span(values: Iterable[float]) -> str:
    known = sorted(values)
    return f"{lost(known[0])} to {lost(known[-1])} points"


def _costlier(found: Mapping[str, Findings]) -> str:
    """Steps of ascent to retraining's loss: the first run in words, all of them counted."""
    pairs = [
        (name, batching, requests[ATTACK], requests[RANDOM])
        for name, each in found.items()
        for batching, requests in each.forgetting.items()
        if ATTACK in requests and RANDOM in requests
    ]
    if not pairs:
        return "not measured"
    more = sum(_above(attack.steps, random.steps) for _, _, attack, random in pairs)
    less = sum(_above(random.steps, attack.steps) for _, _, attack, random in pairs)
    name, batching, attack, random = pairs[0]
    return (
        f"more steps of ascent, intervals apart, in {more} of {len(pairs)} comparisons with random records, fewer in "
        f"{less}; {name}, {batching} batches: {_steps(attack)} against {_steps(random)}"
    )


def _above(one: Interval, other: Interval) -> bool:
    return one.low is not None and other.high is not None and one.low > other.high


def _steps(each: Forgot) -> str:
    return f"{each.steps.value:.0f} (loss {each.victims.value:.2g} to {each.oracles.value:.2g})"


def _benign(found: Mapping[str, Findings]) -> str:
    parts = []
    for name, each in found.items():
        if each.seen:
            caught = [seen.name for seen in each.seen if seen.catches]
            ordinary = [seen.name for seen in each.seen if seen.too_ordinary]
            text = f"{name}: caught by {', '.join(caught) or 'none'} of {len(each.seen)}"
            parts.append(text + (f"; conspicuously ordinary to {', '.join(ordinary)}" if ordinary else ""))
    return ". ".join(parts) if parts else "not measured"


def _whole(name: str, found: Findings) -> str:
    parts = [f"## {name}: {RUNS[name].why}\n"]
    parts += [f"**{question}** {answer}\n" for question, answer in answers(found)]
    for batching, rows in found.served.items():
        parts += [f"### Points lost, {batching} batches\n", _served_grid(rows) + "\n"]
    for batching, requests in found.rounds.items():
        parts += [f"### Test accuracy after each round, {batching} batches\n", _rounds_grid(requests) + "\n"]
    forgetting = _forgetting_lines(found)
    if forgetting:
        head = ["records", "loss of victims, nats", "of oracles", "steps of ascent, median", "points lost there"]
        parts += ["### Until the loss is that of retraining\n", grid(head, forgetting) + "\n"]
    if found.seen:
        head = ["defence", "AUROC %, requests", "caught %", "AUROC %, records", "caught %"]
        lines = [
            [
                each.name,
                *(whole_percent(cell) for pair in (each.requests, each.records) for cell in (pair or (None,) * 2)),
            ]
            for each in found.seen
        ]
        parts += ["### Who notices, at 1 % of false alarms\n", grid(head, lines) + "\n"]
    return "\n".join(parts)


def _served_grid(rows: Sequence[Served]) -> str:
    head = ["method", *(TITLES[request] for request in REQUESTS), "attack − random", "attack / random"]
    lines = []
    for row in rows:
        mark = " *" if row.differs and row.method != RETRAINING else ""
        ratio = row.ratios.get(RANDOM)
        cells = [_cell(row.drops.get(request)) for request in REQUESTS]
        times = f"{ratio.value:.1f} [{ratio.low:.1f}, {ratio.high:.1f}]" if ratio else "–"
        lines.append([row.method, *cells, _cell(row.excess.get(RANDOM)) + mark, times])
    return grid(head, lines) + "\n\n\\* differs from 0 at 5 %, Holm-corrected over the methods."


def _rounds_grid(requests: Mapping[str, Mapping[str, Sequence[Interval]]]) -> str:
    rounds = max(len(cells) for methods in requests.values() for cells in methods.values())
    head = ["method", "records", *(f"round {number + 1}" for number in range(rounds))]
    lines = [
        [method, TITLES[request], *(f"{100 * cell.value:.1f}" for cell in cells)]
        for request, methods in requests.items()
        for method, cells in methods.items()
    ]
    return grid(head, sorted(lines, key=lambda line: line[0] != RETRAINING))


def _forgetting_lines(found: Findings) -> list[list[str]]:
    return [
        [
            f"{TITLES[request]}, {batching} batches",
            f"{each.victims.value:.2g}",
            f"{each.oracles.value:.2g}",
            steps_in_words(each.steps) + (f"; {each.late}" if each.late else ""),
            _cell(each.lost),
        ]
        for batching, requests in found.forgetting.items()
        for request, each in requests.items()
    ]


def _changes(found: Mapping[str, Findings]) -> str:
    head = [
        "run on digits",
        "what is changed",
        "trained alone: condensed / real, %",
        *(f"{batching}: attack / random" for batching in SHOWN),
        "retraining: attack / random",
    ]
    lines = []
    for name, each in found.items():
        alone = next(iter(each.alone.values()), {})
        taught = " / ".join(f"{100 * alone[data].value:.1f}" for data in ("condensed", "real") if data in alone)
        cells = [_pair(each, batching, BARE.label) for batching in SHOWN]
        lines.append([name, RUNS[name].why, taught, *cells, _pair(each, "shuffled", RETRAINING)])
    text = "## One change at a time\n\nPoints lost under amnesiac unlearning without repair, which costs most.\n\n"
    return text + grid(head, lines) + "\n"


def _pair(found: Findings, batching: str, label: str) -> str:
    row = next((row for row in found.served.get(batching, ()) if row.method == label), None)
    if row is None:
        return "–"
    mark = " *" if row.differs and label != RETRAINING else ""
    return " / ".join(_cell(row.drops.get(request)) for request in (ATTACK, RANDOM)) + mark


def _cell(cell: Interval | None) -> str:
    return "–" if cell is None else f"{lost(cell.value)} {lost_between(cell)}"


def _points(cell: Interval) -> str:
    return f"{lost(cell.value)} points {lost_between(cell)}"
