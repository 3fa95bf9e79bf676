"""What people read: the tables of the terminal and one HTML page that needs no network."""

from expunge.reports.page.html import report
from expunge.reports.readings import reading
from expunge.reports.tables.classic import render_classic
from expunge.reports.tables.metrics import render_metrics
from expunge.reports.tables.scores import render_tables

__all__ = ["reading", "render_classic", "render_metrics", "render_tables", "report"]
