"""What people read of a usability attack: tables of the terminal, a page, and answers in words."""

from expunge.reports.usability.findings import Findings, is_usability, read_findings
from expunge.reports.usability.page import report_usability
from expunge.reports.usability.tables import render_usability

__all__ = ["Findings", "is_usability", "read_findings", "render_usability", "report_usability"]
