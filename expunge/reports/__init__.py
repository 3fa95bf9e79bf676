"""What people read: the tables of the terminal and one HTML page that needs no network."""

from expunge.reports.classic import render_classic
from expunge.reports.page import report
from expunge.reports.rules import reading
from expunge.reports.table import render_tables

__all__ = ["reading", "render_classic", "render_tables", "report"]
