"""What the records of an attack of the lab say, method by method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from expunge.attacks import ATTACKS, Attack
from expunge.attacks.attack import Success
from expunge.attacks.attack_folder import NAME
from expunge.attacks.evidence import AUROC
from expunge.attacks.lab.arms import ARMS, ATTACK, CONTROLS, HONEST, ORACLE
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
    TAKEN,
    USUAL_BRIER,
    UTILITY,
)
from expunge.errors import UserError, lookup
from expunge.records import Score, Setting
from expunge.reports.attacks.counts import over_others
from expunge.reports.summaries import Interval

OF_ATTACK, OF_METHOD = "attack.", "method."  # settings of the attack, and of who serves, begin so
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
    taken: Interval | None = None  # success that the attack has without it, less what is left

    @property
    def shows(self) -> bool | None:
        """Whether the attack still shows, by the rule of :attr:`Victims.shows`."""
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
    """The rule by which an attack shows: the interval of its excess lies above 0; None where it cannot be told."""
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
    note: str = ""  # what must be read beside its success
    settings: Mapping[str, Setting] = field(default_factory=dict)  # of the method

    @property
    def shows(self) -> bool | None:
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
    of_all = {key: value for key, value in first.subject.config.items() if key.startswith(OF_ATTACK) and key != NAME}
    facts = {key.removeprefix(OF_ATTACK): value for key, value in of_all.items()}
    methods = dict.fromkeys(score.subject.method for score in scores if score.metric == SUCCESS)
    success = ATTACKS[name].success
    against = HONEST if success is None else success.against
    victims = [
        _victims(method, [each for each in scores if each.subject.method == method], against) for method in methods
    ]
    return Findings(name, first.subject.suite, facts, first.models, victims, first.subject.hardware)


def _victims(method: str, scores: Sequence[Score], against: str) -> Victims:
    found = {(each.metric, each.aggregate): each for each in scores if DEFENCE not in each.subject.config}
    arms = {name: _arm(name, found) for name in ARMS}
    excess = {name: cell for name in CONTROLS if (cell := _cell(found.get((EXCESS, f"over {name}"))))}
    if anew := over_others(arms[ATTACK].success, arms[ORACLE].success, scores[0].models):
        excess[ORACLE] = anew  # records of before have a wider interval
    judged = found.get((EXCESS, f"over {against}"))
    note = judged.reason if judged and judged.value is not None else ""
    lost = {name: cell for name in ARMS if (cell := _cell(found.get((LOST, name))))}
    effort = found.get((EFFORT, "mean"))
    spent, own = effort.value if effort else None, scores[0].subject.config
    settings = {key.removeprefix(OF_METHOD): value for key, value in own.items() if key.startswith(OF_METHOD)}
    return Victims(method, arms, excess, lost, spent, _guards(scores), against, note, settings)


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
                taken=_cell(own.get(TAKEN)),
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
    unknown = name == ORACLE and not success.seconds  # before they were measured 0 stood there
    seconds = None if unknown else success.seconds
    return ArmFound(_cell(success), utility, success.cost, seconds, more, success.reason)


def _cell(score: Score | None) -> Interval | None:
    return None if score is None or score.value is None else Interval(score.value, score.low, score.high)
