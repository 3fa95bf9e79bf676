"""Unlearning methods: the table, and the verb that runs one."""

from collections.abc import Callable

from torch import nn

from expunge.ensembles.ensemble import Ensemble
from expunge.errors import MethodFailed, lookup
from expunge.methods.ascent_descent import AscentDescent, ascent_descent
from expunge.methods.fine_tune import FineTune, fine_tune
from expunge.methods.gradient_ascent import GradientAscent, gradient_ascent
from expunge.methods.method import Method, NoSettings, Step, configure, run_method
from expunge.methods.neg_grad_plus import NegGradPlus, neg_grad_plus
from expunge.methods.random_labels import RandomLabels, random_labels
from expunge.methods.scrub import Scrub, scrub
from expunge.methods.user import from_function, user_method
from expunge.records import Setting
from expunge.suites import ForgetSet, Suite, find_suite

__all__ = ["METHODS", "Method", "Step", "configure", "find_method", "run_method", "unlearn"]

METHODS: dict[str, Method] = {
    "identity": Method(NoSettings, None, "anchor: the pretrained models, nothing done", "anchor", ()),
    "oracle": Method(NoSettings, None, "anchor: held-out oracles, what a perfect method gets", "anchor", ("oracles",)),
    "fine-tune": Method(
        FineTune, fine_tune, "go on training on the retained examples", "arXiv:2108.11577", ("retain data",)
    ),
    "gradient-ascent": Method(
        GradientAscent, gradient_ascent, "climb the loss of the forget set", "arXiv:2109.13398", ("forget data",)
    ),
    "ascent-descent": Method(
        AscentDescent,
        ascent_descent,
        "by turns climb the loss of the forget set and descend that of the rest",
        "arXiv:2410.23232",
        ("forget data", "retain data"),
    ),
    "neg-grad-plus": Method(
        NegGradPlus,
        neg_grad_plus,
        "descend on the retain loss and climb the forget loss in one step",
        "arXiv:2302.09880",
        ("forget data", "retain data"),
    ),
    "random-labels": Method(
        RandomLabels,
        random_labels,
        "train on with wrong random labels for the forget set",
        "arXiv:1911.04933",
        ("forget data", "retain data"),
    ),
    "scrub": Method(
        Scrub,
        scrub,
        "a student disobeys its teacher on the forget set and obeys it on the rest",
        "arXiv:2302.09880",
        ("forget data", "retain data"),
    ),
}


def find_method(name: str) -> Method:
    """The row ``name`` of METHODS, or the user's own method where ``name`` is ``file.py:function``."""
    return user_method(name) if ":" in name else lookup("method", name, METHODS)


def unlearn(
    ensemble: Ensemble,
    forget: ForgetSet,
    method: str | Callable[..., nn.Module],
    *,
    suite: Suite | None = None,
    seed: int = 0,
    **settings: Setting,
) -> Ensemble:
    """The ensemble after the last epoch of ``method``; ``ensemble`` is left as it is.

    ``method`` is a name of :data:`METHODS`, ``file.py:function``, or a function ``(model, retain, forget, seed) ->
    model``. ``suite`` is needed only for an ensemble of a suite that is in no table and no file.
    """
    suite = find_suite(ensemble.origin.suite, ensemble.origin.digest, suite)
    name = method if isinstance(method, str) else getattr(method, "__name__", "method")
    row = find_method(method) if isinstance(method, str) else from_function(method, f"your own: {name}")
    last = None
    for step in run_method(name, row, configure(name, row, settings), ensemble, suite, forget, seed):
        last = step.ensemble
    if last is None:
        raise MethodFailed(f"{name} yielded no ensemble")
    return last
