"""``results/metrics.md``: which distance judges, and why."""

from collections.abc import Mapping

from expunge.reports.studies.cheats import CHEATS
from expunge.reports.studies.markdown import grid
from expunge.reports.studies.metrics import COUNTS, FEWER, LADDERS, MODELS, PARTIAL, SETS, Found
from expunge.reports.studies.rulers import RULERS

INTRODUCTION = f"""\
# Which distance should judge?

Every candidate is a number of two ensembles' margins on the examples to forget, {MODELS} unlearned models against
{MODELS} oracles of `digits`, on {", ".join(f"`{name}`" for name in SETS)}. It is asked five things:

- **Order**: does it put ensembles of known order right? *mixed*: 0, 5, ..., 100 % of held-out oracles replaced by
  untouched models; *moved*: oracles moved 0, 5, ..., 100 % of the way to the means of the untouched models; *kept*:
  {FEWER} models trained without 100, 90, ..., 0 % of the forget set ({", ".join(f"`{name}`" for name in PARTIAL)}).
  Spearman's correlation with the rung, and in brackets the share of neighbouring rungs in the right order.
- **Sensitivity**: the least share of untouched models among oracles that is told from oracles alone in 80 % of draws,
  at 5 % of false alarms.
- **Stability**: Spearman's correlation of the orders by two halves of the models, over mixed and moved rungs.
- **Bias**: how much higher the floor of 20 models is than that of 100, as a share of the gap to doing nothing.
- **Resistance**: which share of that gap the cheats close, in the median forget set. An honest method that goes half of
  the way closes 50 %.

Means over forget sets and ten random halvings of 200 oracles. Made by `expunge study metrics`.
"""
ADOPTED = "Wasserstein-1"
WINS = 0.5  # of the gap: what an honest method closes half-way


def metrics_page(found: Mapping[str, Found]) -> str:
    """The page, out of what was found of each candidate."""
    return "\n".join([INTRODUCTION, _verdict(found), _table(found), _cheats(found)])


def _verdict(found: Mapping[str, Found]) -> str:
    mine, klom = found[ADOPTED], found["KLoM P95"]
    blind = [name for name, cheat in CHEATS.items() if not cheat.theft and mine.closed[name] > WINS]
    noise = [_share(each.closed["noise, 3 sd"]) for each in (mine, klom)]
    told = _share(mine.least[100]), _share(klom.least[100])
    return f"""\
## Verdict

The distance is **{ADOPTED}** in standard deviations of the oracles. It keeps every order: {mine.order["kept"]:.3f} on
kept, {klom.order["kept"]:.3f} by KLoM's P95, which is saturated on most of those rungs. It tells {told[0]} of untouched
models among 100 from none ({told[1]}). Noise earns nothing: {noise[0]} of the gap for 3 sd, {noise[1]} by KLoM's P95.
And it is linear, so that shares of the gap are what they say: who moves half-way closes half. A KL divergence of two
normals orders as well and tells a little more, but is no length: its square makes half of the way three quarters, and
one exploded model makes it as large as one likes.

What the distance does not see: without the oracles' own margins these close more than half of the gap by it:
{"; ".join(blind) or "none"}.
Of these, ensembles that are half oracles have gone half of the way. For the others a second number that sees shape
stands beside it, the share of examples told apart by Anderson and Darling's test, and KLoM: a row "forgets" only by all
three. No distance tells stolen oracles from a perfect method.
"""


def _table(found: Mapping[str, Found]) -> str:
    head = [
        "candidate", "looks at", *(f"order, {ladder}" for ladder in LADDERS), *(f"least, N = {n}" for n in COUNTS),
        "stability", "bias", "source",
    ]  # fmt: skip
    lines = [
        [
            name,
            "all examples together" if RULERS[name].joint else "each example",
            *(f"{each.order[ladder]:.3f} ({100 * each.steps[ladder]:.0f} %)" for ladder in LADDERS),
            *(_share(each.least[count]) for count in COUNTS),
            f"{each.stable:.3f}",
            _share(each.bias),
            RULERS[name].source,
        ]
        for name, each in found.items()
    ]
    return "## The candidates\n\n" + grid(head, lines) + "\n"


def _cheats(found: Mapping[str, Found]) -> str:
    lines = [
        [
            cheat,
            each.why + (" (with the oracles' margins)" if each.theft else ""),
            *(_won(found[n], cheat) for n in found),
        ]
        for cheat, each in CHEATS.items()
    ]
    text = (
        "## Cheats: the share of the gap that each closes\n\nMarked ! where it is more than an honest method half-way "
        "closes.\n\n"
    )
    return text + grid(["cheat", "what it is", *found], lines) + "\n"


def _won(found: Found, cheat: str) -> str:
    share = found.closed[cheat]
    shown = _share(max(share, -9.99))
    return f"{'below ' if share < -9.99 else ''}{shown}" + (" !" if share > WINS else "")


def _share(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %".replace("-0 ", "0 ").replace("-", "−")
