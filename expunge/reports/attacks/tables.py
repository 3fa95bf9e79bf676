"""An attack of the lab in the terminal: each arm's success, utility and cost, and answers in words."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from expunge.attacks.attack import Success
from expunge.attacks.defences import DEFENCES
from expunge.attacks.lab.arms import ATTACK, CONTROLS
from expunge.records import Score
from expunge.reports.attacks.counts import count_of
from expunge.reports.attacks.findings import Findings, Guard, Victims, read_findings
from expunge.reports.attacks.words import COUNTS, OF_ATTACKS, OF_DEFENCES, answers, judged, too_many
from expunge.reports.summaries import Interval
from expunge.reports.tables import formats

LEGEND = "[95 % interval over victims]; differences are paired over the same victims, but for the oracle's."
OF_COUNTS = f"{COUNTS} Differences of counts have Tango's interval, those from the oracle's Newcombe's."
COST = "cost: the provider's, in shares of a retraining."
VERDICT = 8  # columns
SHARE, PLAIN = Success("a share"), Success("a number", share=False)
GUARDED = (
    "A defence that looks is shown what each victim was asked for among honest requests of others, as large, in the "
    "data that the victim trained on. AUROC: how often, in %, the attack's looks more suspicious; 50 by guessing. "
    "caught: where at most 1 % of half of the honest requests are suspected, of a defence that filters the share of "
    "the attack's records; alarms: of the other half. success left: where what is caught is not served, or not those "
    "records. A defence without these three suspects nobody: it tells less, or serves otherwise, and the attack is "
    "played anew by an attacker who knows it. cost: the provider's for the attacker's request, with the removals that "
    "were tried. Brier: how far what is told lies from the truth, 0 to 2, lower is better for honest users."
)


def render_attack(scores: Sequence[Score]) -> list[Table | Text]:
    """A table for each method, the legend, and what the numbers say; for 80 columns and more."""
    found = read_findings(scores)
    parts: list[Table | Text] = [Text(f"success: {found.success.what}")]
    for each in found.victims:
        parts += [_table(found, each), *([_guards(found, each)] if each.guards else [])]
    parts.append(Text(legend(found)))
    if any(each.guards for each in found.victims):
        parts.append(Text(guarded(found)))
    parts += [Text.assemble((method, "bold"), ": ", answer) for method, answer in answers(found)]
    return [piece for part in parts for piece in (part, Text())][:-1]  # a blank line between any two


def legend(found: Findings) -> str:
    """What the table says, and what each control of this attack is, one a line."""
    controls = [f"{name}: {what}." for name, what in found.row.controls.items()]
    return "\n".join([f"{LEGEND} {COST}", *([OF_COUNTS] if has_counts(found) else []), OF_ATTACKS, *controls])


def has_counts(found: Findings) -> bool:
    """Whether any success is a count of victims."""
    arms = [arm.success for each in found.victims for arm in each.arms.values()]
    return any(count_of(each, found.models) is not None for each in arms)


def guarded(found: Findings) -> str:
    """What the table of defences says; and which of them hold back whole requests where else they filter."""
    names = {guard.name: None for each in found.victims for guard in each.guards if guard.name in DEFENCES}
    whole = [name for name in names if DEFENCES[name].filters and found.row.partly is None]
    verb = "hold" if len(whole) > 1 else "holds"
    here = f" Here {' and '.join(whole)} {verb} back whole requests." if whole else ""
    return f"{GUARDED}{here} {OF_DEFENCES}"


def _guards(found: Findings, victims: Victims) -> Table:
    """The defences that have numbers, each cell in two lines; below, why others have none."""
    table = _empty(f"defences, {victims.method}")
    table.padding = (0, 0, 0, 0)
    table.add_column("defence", no_wrap=True)
    left_in = "success\nleft, %" if found.success.share else "success\nleft"
    for name in ("AUROC,\n%", "caught,\n%", "false\nalarms, %", left_in, "acc.,\n%", "cost"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for each in victims.guards:
        if each.success is None:
            continue
        told = [on_two_lines(cell, SHARE, found.models) for cell in (each.auroc, each.caught)]
        told += [_on_lines(alarms_of(each.alarms)), on_two_lines(each.success, found.success, found.models)]
        told += [_on_lines(accuracy(each.utility)), formats.compute(formats.value(each.cost))]
        table.add_row(formats.on_lines(each.name), *told, formats.on_lines(judged(each, victims), VERDICT))
    beneath = list(_reasons(victims.guards))
    beneath += [f"{each.name}: {less_told(each)}" for each in victims.guards if less_told(each)]
    table.caption = Text("\n".join(beneath), style="default") if beneath else None
    return table


def on_two_lines(cell: Interval | None, of: Success, victims: int) -> str:
    """A number above its interval; a count of victims in place of a share of yes and no.

    >>> on_two_lines(Interval(1.0, 0.025 ** (1 / 10), 1.0), SHARE, 10), on_two_lines(Interval(0.9, 0.8, 1), SHARE, 10)
    ('10/10\\n[69, 100]', '90\\n[80, 100]')
    """
    count = count_of(cell, victims)
    first, between, rest = number(cell, of).partition(" ")
    return f"{first if count is None else f'{count}/{victims}'}{between and chr(10)}{rest}"


def _on_lines(text: str) -> str:
    """A number above what is behind it."""
    return text.replace(" [", "\n[").replace(" ±", "\n±")


def alarms_of(cell: Interval | None) -> str:
    """False alarms with their interval, and a mark where they are too many.

    >>> alarms_of(Interval(0.024, 0.021, 0.027)), alarms_of(None)
    ('2.4 ! [2.1, 2.7]', '–')
    """
    if cell is None:
        return formats.ABSENT
    return f"{formats.percent(cell.value)}{too_many(cell)} {formats.percent_between(cell)}"


def _reasons(guards: Sequence[Guard]) -> Iterator[str]:
    """Why defences have no numbers, each reason once."""
    for reason in dict.fromkeys(each.reason for each in guards if each.reason):
        yield f"{', '.join(each.name for each in guards if each.reason == reason)}: {reason}"


def left_of(guard: Guard, of: Success, victims: int) -> str:
    """What a defence leaves of an attack, or that it does not apply."""
    return number(guard.success, of, victims) if guard.applies else "does not apply"


def less_told(guard: Guard) -> str:
    """What honest users lose where less is told; "" of other defences.

    >>> less_told(Guard("top-k", *[None] * 6, brier=Interval(0.061, 0.05, 0.07), usual_brier=Interval(0.052, 0, 1)))
    'Brier 0.061, without it 0.052'
    """
    if guard.brier is None or guard.usual_brier is None:
        return ""
    return f"Brier {guard.brier.value:.3f}, without it {guard.usual_brier.value:.3f}"


def _empty(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )


def _table(found: Findings, victims: Victims) -> Table:
    table = _empty(f"{found.name} against {victims.method}, {found.models} victims of {found.suite}")
    table.add_column("arm")
    for name in (in_unit(found.success), "attack − it", "accuracy, %", "cost"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in (ATTACK, *CONTROLS):
        arm = victims.arms[name]
        cells = [number(arm.success, found.success, found.models), over(victims.excess.get(name), found.success)]
        cells += [accuracy(arm.utility), formats.compute(arm.cost)]
        table.add_row(name, *cells, end_section=name == ATTACK)
    failed = [f"{name} failed: {each.reason}" for name, each in victims.arms.items() if each.reason]
    table.caption = Text("\n".join(failed), style="default") if failed else None
    return table


def in_unit(success: Success) -> str:
    """The head of a column of successes."""
    return "success, %" if success.share else "success"


def number(cell: Interval | None, of: Success, victims: int = 0) -> str:
    """A success with its interval: of a share in whole per cent, behind the count where it is one of ``victims``.

    >>> number(Interval(1.0, 0.692, 1.0), Success("a share")), number(None, Success("a share"))
    ('100 [69, 100]', '–')
    >>> number(Interval(1.0, 0.025 ** (1 / 10), 1.0), Success("a share"), 10)
    '10/10, 100 [69, 100]'
    """
    if cell is None:
        return formats.ABSENT
    count = count_of(cell, victims) if victims else None
    said = _with_ends(cell, 100 if of.share else 1, ".0f" if of.share else ".2f")
    return said if count is None else f"{count}/{victims}, {said}"


def over(cell: Interval | None, of: Success) -> str:
    """A difference of successes with its interval, signed.

    >>> over(Interval(1.0, -0.29, 1.0), Success("a share")), over(None, Success("a share"))
    ('+100 [−29, +100]', '')
    """
    if cell is None:
        return ""
    return _with_ends(cell, 100 if of.share else 1, "+.0f" if of.share else "+.2f")


def accuracy(cell: Interval | None) -> str:
    """
    >>> accuracy(Interval(0.902, 0.87, 0.934))
    '90.2 ±3.2'
    """
    if cell is None or cell.high is None:
        return formats.ABSENT
    return f"{formats.percent(cell.value)} ±{100 * (cell.high - cell.value):.1f}"


def _with_ends(cell: Interval, factor: float, how: str) -> str:
    """A number and both ends of its interval, where it has one."""
    decimals = int(how[-2])
    told = [round(factor * each, decimals) + 0.0 for each in (cell.value, cell.low, cell.high) if each is not None]
    value, *ends = (f"{each:{how if each else how.lstrip('+')}}".replace("-", "−") for each in told)
    return f"{value} [{', '.join(ends)}]" if len(ends) == 2 else value
