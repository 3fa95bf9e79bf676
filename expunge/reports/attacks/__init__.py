"""What people read of an attack of the lab: tables of the terminal, a page, and what the numbers say in words."""

from expunge.reports.attacks.findings import Findings, is_of_lab, read_findings
from expunge.reports.attacks.matrix import is_matrix
from expunge.reports.attacks.matrix_page import report_matrix
from expunge.reports.attacks.matrix_tables import render_matrix
from expunge.reports.attacks.page import report_attack
from expunge.reports.attacks.tables import render_attack

__all__ = [
    "Findings",
    "is_matrix",
    "is_of_lab",
    "read_findings",
    "render_attack",
    "render_matrix",
    "report_attack",
    "report_matrix",
]
