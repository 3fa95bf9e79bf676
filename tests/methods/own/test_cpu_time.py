"""The CPU time of a method is counted wherever it is spent, and held against that of one retraining."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import expunge as xp
from expunge.ensembles import Plan, pretrain
from expunge.ensembles.timed_training import kept
from expunge.methods.own import cpu_time
from expunge.methods.own.cpu_time import cpu_seconds, retraining_cpu_seconds
from expunge.store import user_store
from expunge.suites import ForgetSet, Suite

SPENT = 0.3  # seconds of CPU time
BURN = f"import time\nwhile time.process_time() < {SPENT}: pass"


def burn() -> None:
    until = time.thread_time() + SPENT
    while time.thread_time() < until:
        pass


def by_thread() -> None:
    thread = threading.Thread(target=burn)
    thread.start()
    thread.join()


def by_child() -> None:
    subprocess.run([sys.executable, "-c", BURN], check=True)


def by_child_that_lives_on() -> None:
    with_pipe = subprocess.Popen([sys.executable, "-c", f"{BURN}\nprint(flush=True)\ninput()"], stdin=-1, stdout=-1)
    assert with_pipe.stdout
    with_pipe.stdout.readline()
    LEFT.append(with_pipe)


LEFT: list[subprocess.Popen[bytes]] = []


@pytest.mark.parametrize("work", [burn, by_thread, by_child, by_child_that_lives_on])
def test_it_is_counted_wherever_it_is_spent(work: Callable[[], None]) -> None:
    before = cpu_seconds()
    work()
    spent = cpu_seconds() - before
    for child in LEFT:
        child.communicate(b"\n")
    LEFT.clear()
    assert 0.9 * SPENT < spent < 10 * SPENT


def test_waiting_costs_nothing() -> None:
    before = cpu_seconds()
    subprocess.run(["sleep", "0.5"], check=True)
    assert cpu_seconds() - before < 0.25


def test_a_process_that_ended_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cpu_time._of_process(2**22 + 1) == 0
    assert cpu_time._below(2**22 + 1) == []
    assert cpu_time._of_process(os.getpid()) > 0


def test_the_yardstick_is_measured_once_and_then_read(
    suite: Suite, forget: ForgetSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = Plan(suite, "pretrained").origin([0])
    first = retraining_cpu_seconds(origin, suite.split(forget))
    assert 0.05 < first < 20
    monkeypatch.setattr(cpu_time, "seconds_per_example", lambda *_: pytest.fail("measured again"))
    assert retraining_cpu_seconds(origin, suite.split(forget)) == first
    more = suite.split(suite.forget_sets["random-144"])
    assert retraining_cpu_seconds(origin, more) == pytest.approx(first * (1437 - 144) / (1437 - 50))


def test_what_is_damaged_in_the_store_is_measured_anew() -> None:
    assert kept("0" * 16, "this", lambda: 2.0) == 2.0
    assert kept("0" * 16, "this", lambda: 3.0) == 2.0
    assert kept("0" * 16, "that", lambda: 3.0) == 3.0
    for file in user_store().root.glob("*/timing/*/seconds.npy"):
        file.write_bytes(b"no array")
    assert kept("0" * 16, "this", lambda: 4.0) == 4.0


def test_a_store_that_cannot_be_written_to_keeps_nothing_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("EXPUNGE_STORE", str(tmp_path / "file" / "store"))
    assert kept("0" * 16, "this", lambda: 2.0) == 2.0
    assert kept("0" * 16, "this", lambda: 3.0) == 3.0


def test_the_cost_is_the_larger_of_counted_passes_and_cpu_time(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def passes(model, retain, forget, seed):  # type: ignore[no-untyped-def]
        model(retain.tensors[0])  # one pass forward with gradients: a fifteenth of a retraining
        next(model.parameters()).data.mul_(0.9)

    def works_elsewhere(model, retain, forget, seed):  # type: ignore[no-untyped-def]
        burn()
        next(model.parameters()).data.mul_(0.9)

    before = pretrain(suite, 1)
    for seconds, function, cost in ((1e6, passes, 1 / 15), (1.0, works_elsewhere, SPENT)):
        monkeypatch.setattr("expunge.methods.own.method.retraining_cpu_seconds", lambda *_, each=seconds: each)
        made = xp.unlearn(before, "random-10", function).origin.made
        assert made is not None
        assert made.cost == pytest.approx(cost, rel=0.2)
