"""Providers serve what the methods make: whatever is deployed, and where only some of the victims are asked."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
import torch

from expunge.attacks.lab.provider import Provider, as_they_lie, claimed
from expunge.attacks.removal import Attacked
from expunge.ensembles.builds import log_chunk
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import pretrain
from expunge.methods import find_method
from expunge.methods.running import run_method
from expunge.suites.request import Request
from tests.attacks.small import small

METHODS = ("first-order", "fine-tune", "amnesiac", "sisa")


@cache
def provider(name: str) -> Provider:
    return Provider(small(), Attacked(name), range(2))


def request() -> Request:
    return as_they_lie(small(), np.arange(5), "somebody")


@pytest.mark.parametrize("name", METHODS)
def test_what_is_served_is_what_the_method_makes_of_the_pretrained_model(name: str) -> None:
    """As a bench runs it: one that begins with shards does so though it is votes that are deployed."""
    own, asked = provider(name), request()
    served = own.serve([asked, asked]).ensemble
    for row in range(2):
        plain = pretrain(own.suite, 2).take([row]).eval()
        steps = run_method(
            name, find_method(name), own.config, plain, own.suite, claimed(asked), own.seed, request=asked
        )
        *_, last = steps
        expected, found = last.ensemble.state(), served.take([row]).state()
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.mark.parametrize("name", METHODS)
def test_a_victim_of_which_nothing_is_asked_stays_beside_one_that_is_served(name: str) -> None:
    own = provider(name)
    served = own.serve([None, request()])
    before, after = own.victims.state(), served.ensemble.state()
    assert all(torch.equal(before[key][0], after[key][0]) for key in before)
    assert any(not torch.equal(before[key][1], after[key][1]) for key in before)
    assert served.cost[0] == 0 < served.cost[1]


def test_logs_are_trained_in_one_go_and_for_no_other_victims(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of three models: victims 4 to 6 lie in two of them, and what asks of 6 alone needs no log of the first."""
    own = Provider(small(), Attacked("amnesiac"), range(4, 7))
    asked, other = request(), as_they_lie(small(), np.arange(5, 9), "somebody")
    trained: list[tuple[int, int]] = []

    def log(plans: Sequence[Plan], chunk: int) -> list[str]:
        trained.append((chunk, len(plans)))
        return log_chunk(plans, chunk)

    monkeypatch.setattr("expunge.ensembles.builds.log_chunk", log)
    own.prepare([asked, asked, other], [other, asked, other])
    assert sorted(trained) == [(1, 2), (2, 1)]
    own.serve([asked, asked, other])
    assert len(trained) == 2
