"""What a table of methods leaves out, and has to say of some of them."""

from collections.abc import Sequence

from expunge.audits.conditions import known
from expunge.certificates.theorems.theorem import THEOREMS
from expunge.errors import MissingData
from expunge.methods import METHODS
from expunge.methods.certified import CERTIFIED
from expunge.methods.needs import HALVES
from expunge.reports.studies.markdown import code
from expunge.suites import SUITES, load_suite


def unpriced(methods: Sequence[str]) -> list[str]:
    """What the prices of these methods leave out."""
    halves = [code(name) for name in methods if name in METHODS and HALVES in METHODS[name].needs]
    what = "Prices leave out the models trained on random halves, which serve all requests"
    return [f"{what}: {', '.join(halves)}."] if halves else []


def predicted(methods: Sequence[str]) -> list[str]:
    """Who makes no models."""
    names = [code(name) for name in methods if name in METHODS and METHODS[name].predict]
    return [f"Predicts the margins of retrained models, and makes no models: {', '.join(names)}."] if names else []


def uncertified(suite: str, methods: Sequence[str]) -> list[str]:
    """Of which certified methods no certificate holds here, for the network breaks a condition of their theorems.

    Nothing is said where the suite's examples are not at hand: what is known of a network is known on them.
    """
    certified = [name for name in methods if name in CERTIFIED]
    if not certified or suite not in SUITES:
        return []
    try:
        false = known(load_suite(suite), by_recipe=False).false.keys()
    except MissingData:
        return []
    broken = [code(name) for name in certified if false & THEOREMS[CERTIFIED[name].theorem].conditions]
    what = "On this network, which breaks a condition of their theorems, these certify nothing"
    return [f"{what}: {', '.join(broken)}."] if broken else []
