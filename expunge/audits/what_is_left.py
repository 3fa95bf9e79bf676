"""The table of audits that ask what unlearned models still hold."""

from expunge.audits import population, u_lira
from expunge.audits.audit import Audit

WHAT_IS_LEFT: dict[str, Audit] = {
    "loss": population.LOSS,
    "label-only": population.LABEL_ONLY,
    u_lira.NAME: u_lira.AUDIT,
}
EVERY = "all"  # names every audit


def default_audits() -> tuple[str, ...]:
    """Those for which no model has to be trained."""
    return tuple(name for name, audit in WHAT_IS_LEFT.items() if not audit.trains)
