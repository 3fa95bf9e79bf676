"""What is to be forgotten: the table of suites."""

import re
from collections.abc import Callable
from dataclasses import replace

from expunge.errors import BadSetting, ExpungeError, UnknownName, UserError, in_a_line, lookup
from expunge.suites import cifar10, cifar100, digits, fashion_mnist, living17, mnist, svhn, tabular
from expunge.suites.data import Data, Examples
from expunge.suites.derived import with_derived
from expunge.suites.folders import data_from_folder
from expunge.suites.forget_sets import (
    by_metadata,
    from_file,
    influential,
    memorised,
    neighbours,
    random_examples,
    subclass,
    whole_class,
)
from expunge.suites.own import data_from_arrays, data_from_hub, data_from_npz
from expunge.suites.recipe import Recipe
from expunge.suites.request import Request
from expunge.suites.suite import ForgetSet, ForgetSets, Split, Suite
from expunge.suites.tables import data_from_csv
from expunge.suites.target import CLASSIFICATION, Classification, Target
from expunge.user_files import as_it_was, load_function

__all__ = [
    "CLASSIFICATION",
    "SUITES",
    "Classification",
    "Data",
    "Examples",
    "ForgetSet",
    "ForgetSets",
    "Recipe",
    "Request",
    "Split",
    "Suite",
    "Target",
    "as_suite",
    "by_metadata",
    "data_from_arrays",
    "data_from_csv",
    "data_from_folder",
    "data_from_hub",
    "data_from_npz",
    "find_suite",
    "from_file",
    "influential",
    "is_found",
    "load_suite",
    "memorised",
    "neighbours",
    "random_examples",
    "subclass",
    "whole_class",
]

SUITES: dict[str, Callable[[], Suite]] = {
    "digits": digits.digits,
    "tabular": tabular.tabular,
    "tabular-mlp": tabular.tabular_mlp,
    "mnist": mnist.mnist,
    "fashion-mnist": fashion_mnist.fashion_mnist,
    "fashion-mnist-10k": fashion_mnist.fashion_mnist_10k,
    "svhn": svhn.svhn,
    "cifar10-resnet9": cifar10.cifar10_resnet9,
    "cifar10-resnet18": cifar10.cifar10_resnet18,
    "cifar10-allcnn": cifar10.cifar10_allcnn,
    "cifar100-resnet18": cifar100.cifar100_resnet18,
    "living17-resnet18": living17.living17_resnet18,
}


def find_suite(address: str, digest: str, given: Suite | str | None = None) -> Suite:
    """The suite of an ensemble: ``given``, else the one at its address; refused where its digest is another."""
    if given is None:
        try:
            given = load_suite(address)
        except UnknownName:
            raise BadSetting(f"suite {address!r} is in no table; give the ensemble's suite as suite=...") from None
    given = as_suite(given)
    if given.digest != digest:
        raise BadSetting(
            f"the ensemble is of a suite {address!r} with digest {digest}, the one that was found or given has "
            f"{given.digest}; give the ensemble's suite as suite=..."
        )
    return given


def as_suite(given: object) -> Suite:
    """A suite as it is, or by its name."""
    if isinstance(given, Suite):
        return given
    if isinstance(given, str):
        return load_suite(given)
    hint = "; call the function, for what it returns is the suite" if callable(given) else ""
    raise BadSetting(f"expected a suite or its name, got {type(given).__name__}{hint}")


def is_found(suite: Suite) -> bool:
    """Whether commands find this very suite at its address: in the table, or in a file that it was loaded from."""
    if suite.place:
        return True
    try:
        return load_suite(suite.address).digest == suite.digest
    except UserError:
        return False


def load_suite(name: str) -> Suite:
    """The suite ``name`` of :data:`SUITES`, or the one that the function ``file.py:function`` returns.

    ``@METHOD-SPARSITY`` after the name asks for its sparse version, as ``digits@omp-0.95``; see :meth:`Suite.pruned`.
    """
    if not isinstance(name, str):
        found = "a function" if callable(name) else type(name).__name__
        hint = "call it, for what it returns is the suite" if callable(name) else "a suite itself needs no loading"
        raise UnknownName(f"expected the name of a suite, or 'file.py:function', got {found}; {hint}")
    if re.fullmatch(r"[^:/]+@[a-z]+:[\d.]+", name):
        raise UnknownName(f"unknown suite {name!r}; a sparse suite is written {name.replace(':', '-')}")
    place, colon, last = name.rpartition(":")  # a folder may have an @ in its name, a function has none
    dense, at, pruning = last.partition("@")
    if at:
        return load_suite(f"{place}{colon}{dense}").pruned(pruning.replace("-", ":", 1))
    if ":" not in name and name.endswith(".py"):
        raise UnknownName(f"unknown suite {name!r}; for a suite of your own give file.py:function")
    if ":" not in name:
        return lookup("suite", name, SUITES)()
    return _own_suite(name)


def _own_suite(name: str) -> Suite:
    """What the user's ``file.py:function`` returns."""
    function = load_function("suite", name)
    try:
        with as_it_was():
            suite = function()
    except (ExpungeError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the user's function may raise anything
        raise BadSetting(f"suite {name!r}: the function raised {in_a_line(error)}") from error
    if not isinstance(suite, Suite):
        raise BadSetting(f"suite {name!r}: expected it to return an expunge.Suite, got {type(suite).__name__}")
    return with_derived(replace(suite, place=name))
