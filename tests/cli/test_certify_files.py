"""Files of certificates and ledgers as people have them: repeated, cut short, sealed anew, or other files."""

import json
from pathlib import Path

import pytest

from expunge.certificates.record import as_record, write_certificates
from tests.certificates.made import certificate, rewritten
from tests.cli.commands import refused, run


def test_lines_that_were_taken_out_are_told(tmp_path: Path) -> None:
    write_certificates(tmp_path / "one.jsonl", [certificate(model=1)])
    done = run("certify", "check", "one.jsonl", cwd=tmp_path)
    assert done.returncode == 0
    assert "here are certificates of models 1, and models 0-1 were made; of the others nothing is known" in done.stdout
    assert done.stdout.endswith("\n1 certificate: 1 CERTIFIED\n")


def test_lines_that_are_repeated_are_told_and_those_that_differ_are_3(tmp_path: Path) -> None:
    same, other = certificate(model=0), certificate(model=0, epsilon=2.0)
    for second, code, word in ((same, 0, "each time the same"), (other, 3, "at most one of them is true")):
        write_certificates(tmp_path / "two.jsonl", [same, second, certificate(model=1)])
        done = run("certify", "check", "two.jsonl", cwd=tmp_path)
        assert done.returncode == code
        assert "model 0, request 1, stands there 2 times, " in done.stdout
        assert word in done.stdout


def test_what_was_written_anew_and_agrees_with_itself_follows_and_that_is_said(tmp_path: Path) -> None:
    """All constants of another ball, the noise computed of them, and the checksum of it."""
    record, made = as_record(certificate()), certificate(C=1.0)
    record["constants"]["C"]["value"] = 1.0
    half = run("certify", "check", str(rewritten(tmp_path / "half.jsonl", record)))
    assert half.returncode == 3
    assert "does not follow  " in half.stdout
    whole = run("certify", "check", str(rewritten(tmp_path / "whole.jsonl", as_record(made))))
    assert whole.returncode == 0
    assert "Not shown: that these are the constants of the models" in whole.stderr
    assert "A checksum is no signature" in whole.stderr


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b"", "a.jsonl is empty; expected 1 to 10,000 certificates"),
        ("a.jsonl", b"\n", "a.jsonl:1 is no certificate: the line is blank; delete it"),
        ("a.jsonl", b"\x89PNG\r\n", "a.jsonl:1 is no certificate: it is no text: byte 1, 0x89, is no UTF-8"),
        ("a.jsonl", b"{,}\n", "a.jsonl:1 is no certificate: it is no JSON: Expecting property name enclosed in double"),
        (
            "a.json",
            b'{\n "record": "certification"\n}\n',
            "a.json is what was measured of claims; certificates lie",
        ),
        (
            "a.json",
            b'{"facts": {},\n"rows": []}\n',
            "a.json holds the figures of a page, and no certificates; `expunge",
        ),
        ("l.jsonl", b'{"format": "expunge ledger of certified unlearning"}\n', "`expunge certify budget` reads it"),
    ],
)
def test_another_file_is_told_by_what_it_is(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    line = refused(run("certify", "check", name, cwd=tmp_path))
    assert told in line
    assert "line 1 column" not in line


def test_a_folder_is_told_which_file_in_it_is_meant(tmp_path: Path) -> None:
    assert "is a folder; expected a file: `expunge certify METHOD" in refused(run("certify", "check", str(tmp_path)))
    write_certificates(tmp_path / "certificates.jsonl", [certificate()])
    assert f"take {tmp_path / 'certificates.jsonl'}" in refused(run("certify", "check", str(tmp_path)))


def test_certificates_are_no_ledger_and_a_damaged_line_of_many_is_named(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    write_certificates(file, [certificate(model=0), certificate(model=1)])
    assert "c.jsonl holds certificates: `expunge certify check`" in refused(run("certify", "budget", str(file)))
    file.write_text(file.read_text()[:-20])
    assert "c.jsonl:2 is no certificate: it is no JSON" in refused(run("certify", "check", str(file)))


def test_a_ledger_is_not_begun_where_its_first_request_cannot_be_read(tmp_path: Path) -> None:
    new = ("--epsilon", "4", "--delta", "1e-4", "--request", "first", "--certificate", "none.jsonl")
    assert "there is no file none.jsonl" in refused(run("certify", "budget", "ledger.jsonl", *new, cwd=tmp_path))
    assert not (tmp_path / "ledger.jsonl").exists()


def test_the_end_of_a_ledger_is_told_for_lines_may_be_taken_off_it(tmp_path: Path) -> None:
    write_certificates(tmp_path / "c.jsonl", [certificate(model=0), certificate(model=1)])
    run("certify", "budget", "ledger.jsonl", "--epsilon", "4", "--delta", "1e-4", cwd=tmp_path)
    done = run("certify", "budget", "ledger.jsonl", "--request", "a", "--certificate", "c.jsonl", cwd=tmp_path)
    last = json.loads((tmp_path / "ledger.jsonl").read_text().splitlines()[-1])
    assert f"the ledger ends with {last['sha256']}: " in done.stderr
