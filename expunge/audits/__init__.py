"""Audits: what unlearned models still hold, by a table of attacks; and what a proof of unlearning is worth."""

from expunge.audits import completeness, lira, population, probe, relearning, rmia, u_lira, u_lira_shadows
from expunge.audits.audit import Audit

__all__ = ["AUDITS", "Audit", "default_audits"]

AUDITS: dict[str, Audit] = {
    "loss": population.LOSS,
    "label-only": population.LABEL_ONLY,
    lira.NAME: lira.AUDIT,
    u_lira.NAME: u_lira.AUDIT,
    rmia.NAME: rmia.AUDIT,
    completeness.NAME: completeness.AUDIT,
    "confidence": population.CONFIDENCE,
    "entropy": population.ENTROPY,
    "modified-entropy": population.MODIFIED_ENTROPY,
    probe.NAME: probe.AUDIT,
    relearning.NAME: relearning.AUDIT,
    u_lira_shadows.CORRECTED: u_lira_shadows.SHADOWS,
    u_lira_shadows.UNCORRECTED: u_lira_shadows.SHADOWS_UNCORRECTED,
}


def default_audits() -> tuple[str, ...]:
    """Those for which no model has to be trained."""
    return tuple(name for name, audit in AUDITS.items() if not audit.trains)
