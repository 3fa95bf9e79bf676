"""What is said of attacks and of defences: one word for one thing, and the rule by which it is said."""

from collections.abc import Mapping

from expunge.attacks.detection import HONEST as HONEST_REQUESTS
from expunge.attacks.lab.arms import ATTACK, HONEST, ITSELF, NO_REQUEST, ORACLE, UNPERTURBED
from expunge.reports.attacks.counts import count_of, fewest_victims, victims_needed
from expunge.reports.attacks.findings import Findings, Guard, Victims
from expunge.reports.summaries import Interval

SHOWS, SHOWS_NOT, UNTOLD = "shows", "does not show", "cannot be told"
STOPS, IN_PART, STOPS_NOT, IDLE, NO_FILTER = "stops", "stops in part", "does not stop", "nothing to stop", "no filter"
ALLOWED = 1 / HONEST_REQUESTS  # false alarms that a threshold is set for
TOO_MANY = "!"

OF_ATTACKS = (
    f"An attack {SHOWS} if it has more success than the control it is compared with, and the 95 % interval of the "
    f"difference lies above 0. Otherwise it {SHOWS_NOT}, which is no proof that it cannot work. It {UNTOLD} if an arm "
    "has no number."
)
OF_DEFENCES = (
    f"A defence {STOPS} an attack if less is left of it than without the defence, what is left does not show, and it "
    f"is less than half of what the attack has over its control. It {IN_PART} if less is left, but that still shows or "
    f"may be more than half. It {STOPS_NOT} the attack if what is left shows and may be as much as without "
    f"the defence. It {UNTOLD} if what is left does not show but may be as much. All of this goes by 95 % intervals. "
    f"{IDLE.capitalize()}: the attack does not show without the defence. {NO_FILTER.capitalize()}: the defence catches "
    "something, but no larger a share of attackers' requests than of honest ones. "
    f"{TOO_MANY}: more false alarms than the {100 * ALLOWED:g} % that its threshold is set for, beyond the interval."
)
COUNTS = (
    "k/n: of n victims, each at 0 or at 100 %, k are at 100 %. The interval is then Clopper and Pearson's for k of n, "
    "over victims and not over examples."
)


def answers(found: Findings) -> list[tuple[str, str]]:
    """Of each method what the numbers say, in words."""
    return [(each.method, in_words(each, found.row.arms, found.models)) for each in found.victims]


def verdict(shows: bool | None, note: str = "") -> str:
    """Whether an attack shows, with what must be read beside it, in short.

    >>> verdict(True, "nothing had been forgotten: all victims know it"), verdict(None)
    ('shows; nothing had been forgotten', 'cannot be told')
    """
    if shows is None:
        return UNTOLD
    beside = f"; {note.partition(':')[0]}" if note and shows else ""
    return f"{SHOWS if shows else SHOWS_NOT}{beside}"


def judged(guard: Guard, victims: Victims) -> str:
    """What a defence does to an attack, by the rule of :data:`OF_DEFENCES`; "" where it has no numbers."""
    if guard.success is None:
        return ""
    if guard.is_no_filter:
        return NO_FILTER
    if victims.shows is None or guard.shows is None:
        return UNTOLD
    if not victims.shows:
        return IDLE
    if guard.taken is None or guard.taken.low is None or guard.taken.low <= 0:
        return STOPS_NOT if guard.shows else UNTOLD
    return IN_PART if guard.shows or _may_be_half(guard, victims) else STOPS


def _may_be_half(guard: Guard, victims: Victims) -> bool:
    """Whether what a defence leaves may be half of what the attack has over its control, or more."""
    left, whole = guard.excess, victims.excess[victims.against]
    return left is None or left.high is None or left.high >= whole.value / 2


def too_many(alarms: Interval | None) -> str:
    """The mark of more false alarms than a threshold is set for, beyond the interval; "" of others.

    >>> too_many(Interval(0.03, 0.02, 0.04)), too_many(Interval(0.03, 0.01, 0.05))
    (' !', '')
    """
    return f" {TOO_MANY}" if alarms is not None and alarms.low is not None and alarms.low > ALLOWED else ""


def in_words(found: Victims, arms: Mapping[str, str], models: int) -> str:
    """Whether the attack shows, and what it is due to.

    It is due to changed bytes where it also has more than the same records unperturbed; to the method, and not to the
    data, where it has more than the oracle. ``arms`` says what controls are that are not usual.
    """
    if found.shows is None:
        failed = [f"{name}: {each.reason}" for name, each in found.arms.items() if each.reason]
        return f"{UNTOLD}: {failed[0]}" if failed else UNTOLD
    control = "models that never saw the records" if found.against == ORACLE else _honest(arms)
    if not found.shows:
        return "; ".join([f"{SHOWS_NOT}: its success cannot be told from that of {control}", *_too_few(found, models)])
    said = [f"{SHOWS}: more success than {control}"]
    if found.note:
        said.append(found.note)
    return "; ".join(said if found.against == ORACLE else [*said, *_blamed(found, arms)])


def _honest(arms: Mapping[str, str]) -> str:
    return f"an honest request ({arms[HONEST]})" if HONEST in arms else "an honest request of the same size"


def _blamed(found: Victims, arms: Mapping[str, str]) -> list[str]:
    """What an attack that shows is due to."""
    said = []
    if arms.get(UNPERTURBED) != ITSELF:
        said.append(
            "by what was changed: the same records unperturbed do less"
            if _above(found, UNPERTURBED)
            else "the same records unperturbed cannot be told from it, so that no change is shown to be to blame"
        )
    said.append(
        "the method is to blame: exact removal of the same records does less"
        if _above(found, ORACLE)
        else "exact removal of the same records cannot be told from it, so that the method is not shown to be to blame"
    )
    if not _above(found, NO_REQUEST):
        said.append("victims that were asked for nothing do as well")
    return said


def _above(found: Victims, control: str) -> bool:
    cell = found.excess.get(control)
    return cell is not None and cell.low is not None and cell.low > 0


def _too_few(found: Victims, models: int) -> list[str]:
    """A warning where more success than the control does not show, with the number of victims with which it would."""
    excess, paired = found.excess[found.against], found.against != ORACLE
    if excess.value <= 0 or excess.low is None:
        return []
    attack, control = (count_of(found.arms[name].success, models) for name in (ATTACK, found.against))
    counts = None if attack is None or control is None else (attack, control)
    if counts and models < (fewest := fewest_victims(paired)):
        return [f"warning: {models} victims show no difference, however large; give {fewest} or more, --models"]
    needed = victims_needed(excess, models, counts, paired)
    return [f"warning: a difference as large as that takes {needed} victims to show, not {models}"] if needed else []
