"""A suite with a hidden layer and models of halves that trains in seconds."""

from dataclasses import replace

from expunge import Suite
from tests.tiny_suite import hidden


def small() -> Suite:
    return replace(hidden(), name="small", models=12, subsets=40, chunk=20)
