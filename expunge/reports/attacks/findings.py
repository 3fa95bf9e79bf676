"""What the records of an attack of the lab say, method by method; and in words, by rules that are stated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from expunge.attacks import ATTACKS, Attack
from expunge.attacks.attack import Success
from expunge.attacks.attack_folder import NAME
from expunge.attacks.evidence import AUROC
from expunge.attacks.lab.arms import ARMS, ATTACK, CONTROLS, HONEST, ITSELF, NO_REQUEST, ORACLE, UNPERTURBED
from expunge.attacks.lab.records import (
    ALARMS,
    APPLIES,
    BRIER,
    CAUGHT,
    DEFENCE,
    EFFORT,
    EXCESS,
    LEFT,
    LEFT_COST,
    LEFT_EXCESS,
    LEFT_UTILITY,
    LOST,
    SUCCESS,
    USUAL_BRIER,
    UTILITY,
)
from expunge.errors import UserError, lookup
from expunge.records import Score, Setting
from expunge.reports.summaries import Interval

OWN = {SUCCESS, EXCESS, UTILITY, LOST, EFFORT}


@dataclass(frozen=True)
class ArmFound:
    """What one arm came to; None where its method failed."""

    success: Interval | None
    utility: Interval | None
    cost: float | None
    seconds: float | None
    more: Mapping[str, Interval]
    reason: str = ""


@dataclass(frozen=True)
class Guard:
    """What a defence is worth against an attack: None where it could not look, or suspects nobody."""

    name: str
    auroc: Interval | None
    caught: Interval | None
    alarms: Interval | None
    success: Interval | None  # that is left
    utility: Interval | None
    seconds: float | None
    reason: str = ""
    excess: Interval | None = None  # of the success that is left, over the arm that the attack is compared with
    cost: Interval | None = None  # the provider's, in shares of a retraining
    brier: Interval | None = None  # of what is told, where less is told, and of all there is
    usual_brier: Interval | None = None
    applies: bool = True

    @property
    def works(self) -> bool | None:
        """Whether the attack still works, by the rule of :attr:`Victims.works`."""
        return _above_nothing(self.excess)

    @property
    def is_no_filter(self) -> bool:
        """Whether it catches some, but no larger a share of what attackers ask than of what is honest.

        One that rejects everything is of this kind: what it leaves of an attack says nothing for it.
        """
        if self.caught is None or self.alarms is None:
            return False
        return 0 < self.caught.value <= self.alarms.value


def _above_nothing(excess: Interval | None) -> bool | None:
    """The rule by which an attack works: the interval of its excess lies above 0; None where it cannot be told."""
    return None if excess is None or excess.low is None else excess.low > 0


@dataclass(frozen=True)
class Victims:
    """What an attack came to against one method, arm by arm."""

    method: str
    arms: Mapping[str, ArmFound]
    excess: Mapping[str, Interval]  # of success, over each control
    lost: Mapping[str, Interval]  # utility lost to each arm
    effort: float | None  # the attacker's seconds for one victim
    guards: Sequence[Guard]
    against: str = HONEST  # the control that it is compared with

    @property
    def works(self) -> bool | None:
        """Whether success lies above that of the control, beyond the interval; None where it cannot be told."""
        return _above_nothing(self.excess.get(self.against))

    @property
    def strongest(self) -> str:
        """The control with the most success; "" where none has a number.

        One that is the attack itself, as where nobody changes the bytes of what is asked for, is none.
        """
        others = {name: self.arms[name] for name in CONTROLS if self.arms[name] != self.arms[ATTACK]}
        found = {name: arm.success.value for name, arm in others.items() if arm.success}
        return max(found, key=lambda name: found[name], default="")


@dataclass(frozen=True)
class Findings:
    """All numbers of one attack of the lab."""

    name: str
    suite: str
    facts: Mapping[str, Setting]
    models: int
    victims: Sequence[Victims]
    hardware: str

    @property
    def row(self) -> Attack:
        return ATTACKS[self.name]

    @property
    def success(self) -> Success:
        """What success is."""
        assert self.row.success is not None  # of attacks of the lab
        return self.row.success

    @cached_property
    def answers(self) -> list[tuple[str, str]]:
        """Of each method what the numbers say, in words."""
        return [(each.method, _in_words(each, self.row.arms)) for each in self.victims]


def is_of_lab(scores: Sequence[Score]) -> bool:
    """Whether these are the records of an attack of the lab."""
    return any(NAME in score.subject.config for score in scores)


def read_findings(scores: Sequence[Score]) -> Findings:
    """The findings of the records of one attack, as ``expunge attack NAME`` wrote them."""
    first = next((score for score in scores if NAME in score.subject.config), None)
    if first is None:
        raise UserError("these are no records of an attack of the lab; make some with `expunge attack NAME SUITE`")
    name = str(first.subject.config[NAME])
    lookup("attack", name, ATTACKS)
    facts = {key.removeprefix("attack."): value for key, value in first.subject.config.items() if key != NAME}
    methods = dict.fromkeys(score.subject.method for score in scores if score.metric == SUCCESS)
    success = ATTACKS[name].success
    against = HONEST if success is None else success.against
    victims = [
        replace(_victims(method, [each for each in scores if each.subject.method == method]), against=against)
        for method in methods
    ]
    return Findings(name, first.subject.suite, facts, first.models, victims, first.subject.hardware)


def _victims(method: str, scores: Sequence[Score]) -> Victims:
    found = {(each.metric, each.aggregate): each for each in scores if DEFENCE not in each.subject.config}
    arms = {name: _arm(name, found) for name in ARMS}
    excess = {name: cell for name in CONTROLS if (cell := _cell(found.get((EXCESS, f"over {name}"))))}
    lost = {name: cell for name in ARMS if (cell := _cell(found.get((LOST, name))))}
    effort = found.get((EFFORT, "mean"))
    return Victims(method, arms, excess, lost, effort.value if effort else None, _guards(scores))


def _guards(scores: Sequence[Score]) -> list[Guard]:
    """The defences, in the order of the records."""
    of: dict[str, dict[str, Score]] = {}
    for each in scores:
        if DEFENCE in each.subject.config:
            of.setdefault(str(each.subject.config[DEFENCE]), {})[each.metric] = each
    guards = []
    for name, own in of.items():
        first = next(iter(own.values()))
        auroc, caught, alarms, success, utility = (
            _cell(own.get(metric)) for metric in (AUROC, CAUGHT, ALARMS, LEFT, LEFT_UTILITY)
        )
        guards.append(
            Guard(
                name,
                auroc,
                caught,
                alarms,
                success,
                utility,
                first.seconds,
                first.reason,
                _cell(own.get(LEFT_EXCESS)),
                cost=_cell(own.get(LEFT_COST)),
                brier=_cell(own.get(BRIER)),
                usual_brier=_cell(own.get(USUAL_BRIER)),
                applies=APPLIES not in own,
            )
        )
    return guards


def _arm(name: str, found: Mapping[tuple[str, str], Score]) -> ArmFound:
    success = found.get((SUCCESS, name))
    if success is None:
        raise UserError(f"the records lack the arm {name!r}; run the same attack again: it takes what is in the store")
    more = {
        metric: cell
        for (metric, arm), score in found.items()
        if arm == name and metric not in OWN and (cell := _cell(score))
    }
    utility = _cell(found.get((UTILITY, name)))
    return ArmFound(_cell(success), utility, success.cost, success.seconds, more, success.reason)


def _cell(score: Score | None) -> Interval | None:
    return None if score is None or score.value is None else Interval(score.value, score.low, score.high)


def _in_words(found: Victims, arms: Mapping[str, str]) -> str:
    """Whether the attack shows, and what it is due to.

    It shows where the interval of its excess over an honest request lies above 0, or over the oracle where that is what
    its row compares with. It is due to changed bytes where that over the same records unperturbed does too; to the
    method, and not to the data, where that over the oracle does. ``arms`` says what controls are that are not usual.
    """
    failed = [f"{name}: {each.reason}" for name, each in found.arms.items() if each.reason]
    if found.works is None:
        return f"cannot tell: {failed[0]}" if failed else "cannot tell"
    if found.against == ORACLE:
        never = "models that never saw the records"
        return f"works: more success than on {never}" if found.works else f"does not show here: no more than on {never}"
    control = f"an honest request ({arms[HONEST]})" if HONEST in arms else "an honest request of the same size"
    if not found.works:
        return f"does not show here: its success cannot be told from that of {control}"
    said = [f"works: more success than {control}"]
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
    return "; ".join(said)


def _above(found: Victims, control: str) -> bool:
    cell = found.excess.get(control)
    return cell is not None and cell.low is not None and cell.low > 0
