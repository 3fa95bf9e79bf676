"""Records of owners in the training data of a suite: who contributed which, and who may ask for what to be removed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import nn

from expunge.ensembles.seeds import seed_of
from expunge.ensembles.train import minibatch_count
from expunge.errors import BadSetting, lookup
from expunge.suites.data import Examples
from expunge.suites.request import Request
from expunge.suites.suite import ForgetSet, ForgetSets, Suite

Batching = Literal["shuffled", "dedicated", "isolated"]
BATCHINGS: tuple[Batching, ...] = get_args(Batching)
CHUNK = 10  # victims that train together, at most: there are few, and those that nobody asked for are not trained


@dataclass(frozen=True, eq=False)
class Contribution:
    """What an owner contributes, and which training records stand back for it, one of the same class for each.

    Without ``instead`` those are drawn. The training data keep their size, as in the public code of Ma et al. 2024.
    """

    owner: str
    examples: Examples
    instead: Int[ndarray, " contributed"] | None = None


@dataclass(frozen=True, eq=False)
class Injection:
    """A suite whose training data hold the records of owners, and requests that were made of it.

    ``owners`` has the places of each owner's records in the training data; those ``asking`` want theirs removed.
    ``controls`` are forget sets of ordinary records, as large as what they ask for; ``draws`` are further random ones,
    which say how much random sets differ.
    """

    honest: Suite  # without them
    suite: Suite
    batching: Batching
    owners: Mapping[str, Int[ndarray, " records"]]
    controls: Mapping[str, ForgetSet]
    draws: Sequence[ForgetSet]
    asking: Sequence[str]

    @property
    def attack(self) -> ForgetSet:
        """The records of all owners that ask."""
        places = np.sort(np.concatenate([self.owners[name] for name in self.asking]))
        return ForgetSet(f"attack-{len(places)}", places, f"the records of {', '.join(self.asking)}")

    @property
    def requests(self) -> dict[str, ForgetSet]:
        """The attack's own request and the controls', by what they are."""
        return {"attack": self.attack, **self.controls}

    @property
    def met(self) -> float:
        """Share of the updates of a training that meet a request of this size: what amnesiac unlearning takes back."""
        recipe, train, size = self.suite.recipe, self.suite.data.sizes[0], len(self.attack)
        batches = minibatch_count(train, recipe.batch_size)
        if recipe.batches == "fixed":
            return len(np.unique(self.attack.indices // recipe.batch_size)) / batches
        missed = np.arange(min(recipe.batch_size, train))
        return float(1 - np.prod((train - size - missed).clip(min=0) / (train - missed)))

    def owned(self, owner: str) -> ForgetSet:
        """The records of one owner."""
        places = lookup("owner", owner, self.owners)
        return ForgetSet(f"{owner}-{len(places)}", np.sort(places), f"the records of {owner}")

    def request(self, owner: str, indices: Int[ndarray, " requested"] | None = None) -> Request:
        """What ``owner`` asks to remove: by default all of its records. Those of another are refused."""
        own = lookup("owner", owner, self.owners)
        wanted = own if indices is None else indices
        foreign = np.setdiff1d(wanted, own)
        if foreign.size:
            holder = next((name for name, places in self.owners.items() if foreign[0] in places), "somebody else")
            raise BadSetting(
                f"{owner!r} asks for the removal of record {foreign[0]}, which is of {holder}; an owner may ask for "
                f"the {len(own)} records of its own, Injection.owned({owner!r})"
            )
        return Request(self.suite.data.train.take(wanted), wanted, owner)


def inject(
    suite: Suite,
    contributions: Sequence[Contribution],
    controls: Mapping[str, Int[ndarray, " control"]],
    *,
    batching: Batching = "shuffled",
    draws: Sequence[Int[ndarray, " draw"]] = (),
    network: Callable[[], nn.Module] | None = None,
    asking: int | None = None,
    models: int,
) -> Injection:
    """The suite with the contributions in its training data, in the places of records that stand back for them.

    Args:
        suite: as it is without them.
        contributions: of the owners.
        controls: ordinary records, by name: places in the training data of ``suite``.
        batching: "shuffled", as the suite trains; or "dedicated", as in the public code of Ma et al. 2024: batches are
            as large as the first contribution and keep their examples in every epoch, and each contribution, and each
            control, has batches of its own.
        asking: so many owners, the first ones, ask for removal; default: all.
        network: what victims are, in place of the suite's own network.
        models: how many victims there will be; of each forget set there are twice as many oracles.

    Without contributions, or with those that change no byte, and shuffled, it is the suite itself: same digest, same
    models.
    """
    lookup("batching", batching, dict.fromkeys(BATCHINGS))
    ordinary = [*controls.values(), *draws]
    places = _places(suite, contributions, ordinary)
    train = suite.data.train
    x, y = train.x.clone(), train.y.clone()
    for each, replaced in zip(contributions, places, strict=True):
        x[replaced], y[replaced] = each.examples.x, each.examples.y
    owners = {each.owner: rows for each, rows in zip(contributions, places, strict=True)}
    recipe, order = suite.recipe, np.arange(len(train))
    if batching != "shuffled":
        size = len(places[0]) if places else 0
        if size < 2:
            raise BadSetting(f"a dedicated batch needs at least 2 records, got {size}; take shuffled batches")
        momentum = 0.0 if batching == "isolated" else recipe.momentum
        recipe = replace(recipe, batches="fixed", batch_size=size, momentum=momentum)
        order = _side_by_side([*places, *ordinary], len(train), suite.digest)
    there = np.argsort(order)  # where each record went
    sets = {name: _sorted_set(name, there[rows]) for name, rows in controls.items()}
    more = [_sorted_set(f"draw-{number + 2}", there[rows]) for number, rows in enumerate(draws)]
    changed = batching != "shuffled" or network is not None or not torch.equal(x, train.x)
    if changed:
        data = suite.data.with_examples(Examples(x, y).take(order), suite.data.test)
        suite_now = replace(
            suite,
            name=f"{suite.name}+owners" + ("" if batching == "shuffled" else f"-{batching}"),
            data=data,
            recipe=recipe,
            network=network or suite.network,
            architecture="" if network else suite.architecture,
            forget_sets=ForgetSets({}),
            derive=None,
            subsets=0,
            chunk=min(suite.chunk, CHUNK),
            models=2 * models,
            published=False,
        )
    else:
        suite_now = replace(suite, models=2 * models) if contributions else suite
    placed = {name: there[rows] for name, rows in owners.items()}
    return Injection(suite, suite_now, batching, placed, sets, more, tuple(owners)[:asking])


def _places(
    suite: Suite, contributions: Sequence[Contribution], ordinary: Sequence[ndarray]
) -> list[Int[ndarray, " contributed"]]:
    """Which records stand back for each contribution: of the same class, each for one, and in no control."""
    labels = suite.data.train.y.numpy()
    taken = np.zeros(len(labels), bool)
    for rows in ordinary:
        taken[rows] = True
    found = []
    for each in contributions:
        rows = each.instead if each.instead is not None else _drawn(each, labels, taken, suite)
        if taken[rows].any() or len(np.unique(rows)) < len(rows) or (labels[rows] != each.examples.y.numpy()).any():
            raise BadSetting(
                f"the records of {each.owner!r}: expected that a record of the same class stands back for each, which "
                "is neither another's nor in a control"
            )
        taken[rows] = True
        found.append(rows)
    return found


def _drawn(each: Contribution, labels: ndarray, taken: ndarray, suite: Suite) -> Int[ndarray, " contributed"]:
    rng = np.random.default_rng(seed_of(suite.digest, "stand back", each.owner))
    places = np.full(len(each.examples), -1)
    wanted = each.examples.y.numpy()
    for label in np.unique(wanted):
        free = np.flatnonzero((labels == label) & ~taken)
        count = int((wanted == label).sum())
        if count > len(free):
            raise BadSetting(
                f"{each.owner!r} has {count} records of class {label}, for which as many must stand back, and "
                f"{len(free)} are free; give fewer images a class"
            )
        places[wanted == label] = rng.permutation(free)[:count]
    return places


def _side_by_side(groups: Sequence[ndarray], examples: int, digest: str) -> Int[ndarray, " examples"]:
    """An order of the examples in which each group lies together, and all others are shuffled behind."""
    first = np.concatenate([np.sort(group) for group in groups])
    rest = np.setdiff1d(np.arange(examples), first)
    return np.concatenate([first, np.random.default_rng(seed_of(digest, "dedicated")).permutation(rest)])


def _sorted_set(name: str, places: ndarray) -> ForgetSet:
    return ForgetSet(f"{name}-{len(places)}", np.sort(places), f"ordinary records, as a control: {name}")
