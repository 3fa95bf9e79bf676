"""The time left follows what was expected, corrected by what was measured, and never ends before the work does."""

import math

import pytest

from expunge.engine import run_jobs
from expunge.jobs import Job
from expunge.timing import UNKNOWN, Clock, Work, makespan


class Hands:
    """A clock whose hands the test moves, and workers that take just so many times what was said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, works: list[Work], slower: dict[str, float], side: int) -> None:
        self.now = 0.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("expunge.timing.crowd", lambda: 1.0)
        self.clock = Clock(works, [])
        self.clock.side = side
        self._works, self._slower, self._side = works, slower, side

    def run(self) -> list[tuple[float, float]]:
        """Do all; what was said to be left and what was true, at twenty moments from the first tenth on."""
        takes = [(each.seconds or 0.0) * self._slower[each.kind] for each in self._works]
        free, ends = [0.0] * self._side, []
        for number, each in enumerate(takes):
            free.sort()
            ends.append((free[0] + each, free[0], number))
            free[0] += each
        whole = max(end for end, _, _ in ends)
        events = sorted(
            [(begin, 1, number) for _, begin, number in ends] + [(end, 0, number) for end, _, number in ends]
        )
        moments = [whole * share / 20 for share in range(2, 20)]
        found = []
        for at in sorted({*moments, *(when for when, _, _ in events)}):
            self.now = at
            for when, begins, number in events:
                if when == at and begins:
                    self.clock.take(self._works[number], number)
                elif when == at:
                    self.clock.finish(number, takes[number])
            if at in moments:
                left = self.clock.left()
                assert left is not None
                found.append((left, whole - at))
        return found


WORKS = {
    "many of a kind": ([Work(2.0, "a")] * 12, {"a": 3.0}),
    "one kind after the other": ([Work(2.0, "a")] * 6 + [Work(5.0, "b")] * 6, {"a": 1.5, "b": 0.8}),
    "short ones that are slow at first": ([Work(0.3, "s")] * 2 + [Work(3.0, "a")] * 10, {"s": 5.0, "a": 1.1}),
    "all as said": ([Work(1.0, "a"), Work(8.0, "b")] * 4, {"a": 1.0, "b": 1.0}),
}


@pytest.mark.parametrize("side", [1, 2])
@pytest.mark.parametrize("name", WORKS)
def test_the_time_left_is_within_a_factor_of_two(name: str, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    works, slower = WORKS[name]
    said = Hands(monkeypatch, works, slower, side).run()
    assert len(said) == 18
    for left, true in said:
        assert max(left + 1, true + 1) / min(left + 1, true + 1) <= 2, said


def test_a_job_that_is_late_is_not_said_to_be_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = Clock([Work(10.0, "a")], [])
    clock.take(Work(10.0, "a"), 1)
    now[0] = 40.0
    assert clock.left() == 10.0


def test_of_jobs_nobody_knows_nothing_is_said_until_one_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    clock = Clock([UNKNOWN] * 3, [])
    clock.take(UNKNOWN, 1)
    assert clock.left() is None
    clock.finish(1, 7.0)
    assert clock.left() == 14.0


def test_what_is_to_come_counts_and_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    later = Work(4.0, "b")
    clock = Clock([Work(2.0, "a")], [later])
    assert clock.left() == 6.0
    clock.follow([later])
    assert clock.left() == 6.0


def test_workers_take_the_next_job_when_they_are_free() -> None:
    assert makespan([], 2) == 0
    assert makespan([5, 1, 1, 1, 1], 2) == 5
    assert makespan([1, 1, 1, 1, 5], 2) == 7


class Listener:
    """A watch that asks for the time left whenever a job is done."""

    def __init__(self) -> None:
        self.said: list[float | None] = []
        self.left: object = None

    def __call__(self, done: int, total: int, label: str) -> None:
        assert callable(self.left)
        self.said.append(self.left())

    def expect(self, left: object) -> None:
        self.left = left


def test_a_watch_that_asks_is_told_by_the_engine() -> None:
    listener = Listener()
    jobs = [Job(f"{x}", math.sqrt, (x,), work=Work(100.0, "a")) for x in range(3)]
    assert [result for _, result in run_jobs(jobs, 1, listener)] == [0, 1, math.sqrt(2)]
    assert listener.said[-1] == 0
    assert all(each is not None and each < 100 for each in listener.said)  # roots do not take 100 s
    assert listener.left is None
