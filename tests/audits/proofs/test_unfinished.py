"""A recording that was stopped can be begun anew; what somebody else has there stays."""

from pathlib import Path

import pytest

from expunge.audits.proofs.bundle import open_bundle
from expunge.audits.proofs.provider import prove
from expunge.audits.proofs.recorder import Recorder
from expunge.audits.proofs.unfinished import MARK, Unfinished
from expunge.errors import BadProof, BadSetting
from expunge.suites import Suite


def begin(folder: Path) -> Unfinished:
    return Unfinished.begin(folder, r"part-\d", "a thing")


def test_what_was_stopped_is_begun_anew(tmp_path: Path) -> None:
    first = begin(tmp_path)
    (tmp_path / "part-1").mkdir()
    (tmp_path / "part-1" / "file").touch()
    (tmp_path / "part-2").symlink_to(tmp_path.parent)
    first.lock.release()  # as when its process ends
    begin(tmp_path).finish()
    assert not list(tmp_path.iterdir())
    assert tmp_path.parent.is_dir()


def test_what_is_finished_is_left_alone(tmp_path: Path) -> None:
    first = begin(tmp_path)
    (tmp_path / "part-1").touch()
    first.finish()
    with pytest.raises(BadSetting, match="is not empty, and a thing has its folder for itself"):
        begin(tmp_path)
    assert (tmp_path / "part-1").exists()


def test_what_is_not_of_it_is_left_alone(tmp_path: Path) -> None:
    begin(tmp_path).lock.release()
    for name in ("part-1", "mine.txt"):
        (tmp_path / name).touch()
    with pytest.raises(BadSetting, match="is not empty"):
        begin(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {MARK, "part-1", "mine.txt"}


def test_what_is_being_written_is_left_alone(tmp_path: Path) -> None:
    first = begin(tmp_path)
    (tmp_path / "part-1").touch()
    with pytest.raises(BadSetting, match="is being written to, maybe by another process"):
        begin(tmp_path)
    assert (tmp_path / "part-1").exists()
    first.finish()


def test_a_recording_that_was_stopped_is_no_bundle_and_is_made_anew(
    tiny_suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget, folder, steps = tiny_suite.forget_sets["first"], tmp_path / "made", iter(range(60))
    after = Recorder.after

    def stopped(recorder: Recorder) -> None:
        after(recorder)
        if next(steps, None) is None:
            recorder._unfinished.lock.release()  # as when its process ends
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "after", stopped)
        with pytest.raises(KeyboardInterrupt):
            prove(tiny_suite, forget, folder)
    assert (folder / MARK).exists()
    with pytest.raises(BadProof, match=r"is no bundle: it has no manifest\.json, which is written last"):
        open_bundle(folder, tiny_suite)
    assert open_bundle(prove(tiny_suite, forget, folder).bundle, tiny_suite).manifest.steps == 80
    assert not (folder / MARK).exists()
