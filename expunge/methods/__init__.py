"""Unlearning methods: the table, and the verb that runs one."""

from collections.abc import Callable

from torch import nn

from expunge.engine import Watch
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.expected import require_ensemble
from expunge.ensembles.pretraining import watching
from expunge.errors import MethodFailed, UnknownName, lookup
from expunge.methods.method import Method, Step, configure
from expunge.methods.needs import ORACLES
from expunge.methods.own import from_function, known_method, user_method
from expunge.methods.running import run_method
from expunge.methods.zoo import (
    amnesiac,
    amun,
    ascent_descent,
    assd,
    bad_teacher,
    boundary_expand,
    boundary_shrink,
    certified_newton,
    certified_removal,
    cf_k,
    cfw,
    ct,
    delete,
    descent_to_delete,
    dm_direct,
    dmm,
    dp_sgd,
    esc,
    esc_t,
    eu_k,
    fcs,
    fine_tune,
    first_order,
    fisher_forgetting,
    gradient_ascent,
    gradient_ascent_l1,
    gradient_free,
    influence,
    jit,
    kde,
    l1_sparse,
    l2ul,
    langevin_unlearning,
    lfssd,
    lfssd_det,
    lotus,
    model_clipping,
    msg,
    mu_mis,
    neg_grad_plus,
    neg_merge,
    noisy_fine_tuning_clipped,
    npo,
    oracle_matching,
    output_perturbation,
    prmq,
    prune_first,
    random_labels,
    random_labels_proximal,
    retrain,
    rewind_to_delete,
    rfe,
    rni,
    rum,
    salun,
    scrub,
    scrub_rewind,
    second_order,
    sfr_on,
    sisa,
    ssd,
    ssd_det,
    successive_random_labels,
    task_vector,
    uam,
    unrolling_sgd,
    unsir,
)
from expunge.suites import Suite, find_suite

__all__ = ["METHODS", "Method", "Step", "configure", "find_method", "row_of", "run_method", "unlearn"]

METHODS: dict[str, Method] = {
    # Anchors, made of margins.
    "identity": Method(unlearn=None, summary="anchor: the pretrained models, nothing done"),
    "oracle": Method(
        unlearn=None, summary="anchor: held-out oracles, what a perfect method gets", needs=(ORACLES,), ranked=False
    ),
    # Up and down losses.
    "fine-tune": fine_tune.METHOD,
    "gradient-ascent": gradient_ascent.METHOD,
    "gradient-ascent-l1": gradient_ascent_l1.METHOD,
    "ascent-descent": ascent_descent.METHOD,
    "neg-grad-plus": neg_grad_plus.METHOD,
    "random-labels": random_labels.METHOD,
    "npo": npo.METHOD,
    "successive-random-labels": successive_random_labels.METHOD,
    "random-labels-proximal": random_labels_proximal.METHOD,
    "boundary-shrink": boundary_shrink.METHOD,
    "boundary-expand": boundary_expand.METHOD,
    "unsir": unsir.METHOD,
    "mu-mis": mu_mis.METHOD,
    "uam": uam.METHOD,
    "sfr-on": sfr_on.METHOD,
    "amun": amun.METHOD,
    "l2ul": l2ul.METHOD,
    # Teachers and students.
    "scrub": scrub.METHOD,
    "scrub-rewind": scrub_rewind.METHOD,
    "bad-teacher": bad_teacher.METHOD,
    "delete": delete.METHOD,
    "lotus": lotus.METHOD,
    # Weights damped, or drawn anew.
    "ssd": ssd.METHOD,
    "ssd-det": ssd_det.METHOD,
    "lfssd": lfssd.METHOD,
    "lfssd-det": lfssd_det.METHOD,
    "assd": assd.METHOD,
    "fisher-forgetting": fisher_forgetting.METHOD,
    "jit": jit.METHOD,
    # Weights projected, and steps.
    "gradient-free": gradient_free.METHOD,
    "esc": esc.METHOD,
    "esc-t": esc_t.METHOD,
    "rfe": rfe.METHOD,
    # By influence and curvature.
    "influence": influence.METHOD,
    "first-order": first_order.METHOD,
    "second-order": second_order.METHOD,
    "unrolling-sgd": unrolling_sgd.METHOD,
    # Sparse, and layer by layer.
    "prune-first": prune_first.METHOD,
    "l1-sparse": l1_sparse.METHOD,
    "salun": salun.METHOD,
    "eu-k": eu_k.METHOD,
    "cf-k": cf_k.METHOD,
    "retrain": retrain.METHOD,
    # Winners of the NeurIPS 2023 challenge.
    "fcs": fcs.METHOD,
    "msg": msg.METHOD,
    "cfw": cfw.METHOD,
    "prmq": prmq.METHOD,
    "ct": ct.METHOD,
    "kde": kde.METHOD,
    "rni": rni.METHOD,
    # In weight space.
    "task-vector": task_vector.METHOD,
    "neg-merge": neg_merge.METHOD,
    # Of other methods.
    "rum": rum.METHOD,
    # With retrained models, shards and logs.
    "oracle-matching": oracle_matching.METHOD,
    "dm-direct": dm_direct.METHOD,
    "dmm": dmm.METHOD,
    "sisa": sisa.METHOD,
    "amnesiac": amnesiac.METHOD,
    # Certified: noise that a theorem asks for.
    "certified-newton": certified_newton.METHOD,
    "certified-removal": certified_removal.METHOD,
    "descent-to-delete": descent_to_delete.METHOD,
    "langevin-unlearning": langevin_unlearning.METHOD,
    "rewind-to-delete": rewind_to_delete.METHOD,
    "noisy-fine-tuning-clipped": noisy_fine_tuning_clipped.METHOD,
    "model-clipping": model_clipping.METHOD,
    "output-perturbation": output_perturbation.METHOD,
    "dp-sgd": dp_sgd.METHOD,
}


def find_method(name: str) -> Method:
    """The row ``name`` of METHODS, or the user's own method where ``name`` is ``file.py:function``."""
    if ":" in name:
        return user_method(name)
    if name not in METHODS and (name.endswith(".py") or "/" in name):
        raise UnknownName(f"unknown method {name!r}; for a method of your own give file.py:function")
    return lookup("method", name, METHODS)


def row_of(name: str) -> Method:
    """As :func:`find_method`, of a name that was found before: a file of the user's own is not looked at again."""
    return known_method(name) if ":" in name else find_method(name)


def unlearn(
    ensemble: Ensemble,
    forget: object,
    method: str | Callable[..., nn.Module],
    *,
    suite: Suite | None = None,
    seed: int = 0,
    watch: Watch | None = None,
    **settings: object,
) -> Ensemble:
    """Unlearn ``forget`` by ``method``: the ensemble after the last epoch; ``ensemble`` itself is left untouched.

    ``forget`` is a forget set of the suite, its name, indices of training examples, or a mask over them. ``method`` is
    a name of :data:`METHODS`, ``file.py:function``, or a function ``(model, retain, forget, seed) -> model``. Such a
    function runs in this process, while that of a file runs in a process of its own. ``suite`` is needed only if the
    ensemble's suite is in no table and no file. Progress goes to standard error, or, epoch by epoch, to ``watch``.
    """
    require_ensemble(ensemble, "unlearn")
    suite = find_suite(ensemble.origin.suite, ensemble.origin.digest, suite)
    chosen = suite.forget_set(forget)
    name = method if isinstance(method, str) else getattr(method, "__name__", "method")
    row = find_method(method) if isinstance(method, str) else from_function(method, name)
    config, last = configure(name, row, settings), None
    with watching(f"unlearn by {name}", watch, at_once=True) as seen:
        for step in run_method(name, row, config, ensemble, suite, chosen, seed):
            last = step.ensemble
            seen(step.epoch, max(step.epoch, getattr(config, "epochs", step.epoch)), f"epoch {step.epoch}")
    if last is None:
        raise MethodFailed(f"{name} yielded no ensemble")
    return last
