"""What a threat to unlearning is: one row of a taxonomy, by the axes of Liu et al. 2025, arXiv:2403.13682."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from expunge.attacks import ATTACKS
from expunge.attacks.attack import Goal, Knowledge, Phase, Role

Axis = Literal["roles", "goal", "knowledge", "phases"]

LETTERS: dict[str, tuple[str, ...]] = {  # of the survey: R12 is contributor and requester
    "R": get_args(Role),
    "G": get_args(Goal),
    "K": get_args(Knowledge),
    "P": get_args(Phase),
}


@dataclass(frozen=True, kw_only=True)
class Threat:
    """One row of the taxonomy.

    ``attacks`` are the rows of ATTACKS that play it, none where it is not here; ``here`` says what is not, or what is
    done otherwise. Where an axis of such a row of ATTACKS is not that of the survey, ``differs`` says why.
    ``defences`` are rows of DEFENCES that apply to it. ``runs`` are those of runs/attacks.sh that play it, where
    they are not those with the defaults of the attacks.
    """

    family: str
    work: str  # its key in references.toml
    number: int | None = None
    axes: str = ""  # roles, goals, knowledge, phases
    technique: str
    countermeasure: str = ""  # what the survey names; "" where it names none
    attacks: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    defences: tuple[str, ...] = ()
    here: str = ""
    differs: Mapping[Axis, str] = field(default_factory=dict)

    @property
    def works(self) -> tuple[str, ...]:
        """What it is from, keys of references.toml: the survey's work; where that has none, what its attacks cite."""
        if self.number is not None or not self.attacks:
            return (self.work,)
        return tuple(dict.fromkeys(key for name in self.attacks for key in ATTACKS[name].cite))

    @property
    def plays(self) -> tuple[str, ...]:
        """The runs that play it; one with an attack's defaults has the attack's name."""
        return self.runs or self.attacks

    def on(self, letter: str) -> tuple[str, ...]:
        """Where it lies on one axis of LETTERS, in words.

        >>> Threat(family="direct", work="hu2024", axes="R12 G4", technique="").on("R")
        ('contributor', 'requester')
        """
        places = next((each[1:] for each in self.axes.split() if each[0] == letter), "")
        return tuple(LETTERS[letter][int(place) - 1] for place in places)
