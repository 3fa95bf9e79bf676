"""``expunge verify proof`` and ``expunge verify demo``."""

import html
import json
import re
import shlex
from pathlib import Path

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from expunge.audits.proofs.provider import Proven, prove
from expunge.cli import app
from expunge.suites import Suite


@pytest.fixture(scope="module")
def made(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Proven:
    return prove(suite, suite.forget_sets["random-10"], tmp_path_factory.mktemp("cli") / "bundle", seed=1)


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["verify", *map(str, arguments)])
    return result.exit_code, result.output


def test_an_honest_proof_ends_in_0(made: Proven, tmp_path: Path) -> None:
    model, out = tmp_path / "model.safetensors", tmp_path / "verdict.jsonl"
    save_file({name: tensor.contiguous() for name, tensor in made.ensemble[0].state_dict().items()}, model)
    code, text = run("proof", made.bundle, "--steps", "worst:1", "--deployed", model, "--out", out)
    assert code == 0, text
    assert text.startswith("PASS")
    assert "It does not show that anything was forgotten" in text
    assert json.loads(out.read_text())["outcome"] == "PASS"


def test_a_proof_that_fails_ends_in_3(made: Proven) -> None:
    code, text = run("proof", made.bundle, "--forget-set", "random-50", "--steps", "random:2", "--json")
    assert code == 3
    assert '"outcome": "FAIL"' in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["proof", "nowhere"],
            "nowhere is no bundle: there is no such folder; expected the folder that `expunge verify",
        ),
        (["proof", "."], ". is no bundle: it has no manifest.json, which is written last, when a recording is over"),
        (["proof", "nowhere", "--book", "none.jsonl"], "there is no file none.jsonl"),
        (["promise", "digits", "--seed", "-1"], "seed: expected a whole number of 0 or more, got -1"),
        (["record", "digits", "--seed", "-1", "--out", "never"], "seed: expected a whole number of 0 or more, got -1"),
        (["proof", "nowhere", "--steps", "best:2"], "expected all, worst:N or random:N"),
        (["proof", "nowhere", "--segment", "0"], "segment: expected a whole number of 1 or more, got 0"),
        (["proof", "nowhere", "--beacon", "none.json"], "there is no file"),
        (["proof", "nowhere", "--deployed", "none.safetensors"], "there is no file"),
    ],
)
def test_a_mistake_ends_in_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = run(*arguments)
    assert code == 2
    assert words in " ".join(text.split())
    assert "Traceback" not in text
    assert not any(tmp_path.iterdir())


def test_provider_and_verifier_take_turns(tmp_path: Path) -> None:
    told, nonce, bundle, model = (tmp_path / name for name in ("promise.json", "nonce.json", "bundle", "m.safetensors"))
    book = ("--book", tmp_path / "nonces.jsonl")
    assert run("promise", "digits", "--seed", "3", "--out", told)[0] == 0
    code, text = run("nonce", told, "--out", nonce, *book)
    assert code == 0, text
    assert f"line 1 of {tmp_path / 'nonces.jsonl'}" in text
    assert run("record", "digits", "--seed", "3", "--beacon", nonce, "--out", bundle, "--model", model)[0] == 0
    code, text = run("proof", bundle, "--beacon", nonce, "--deployed", model, "--steps", "worst:1")
    assert code == 0, text
    assert "nor that the provider had no other nonce for this removal before" in text
    code, text = run("proof", bundle, *book, "--steps", "worst:1")
    assert code == 0, text
    assert "book: the nonce is in the verifier's book, the only one for this removal" in text
    other, text = run("record", "digits", "--seed", "4", "--beacon", nonce, "--out", tmp_path / "other")
    assert other == 2
    assert "is for another promise" in " ".join(text.split())
    broken = tmp_path / "broken.json"
    broken.write_text("[]")
    none, text = run("nonce", broken, "--out", tmp_path / "n.json", *book)
    assert none == 2
    assert "is no promise of a provider" in " ".join(text.split())


def test_a_removal_gets_one_nonce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2):
        assert run("promise", "digits", "--seed", seed, "--out", f"promise-{seed}.json")[0] == 0
    assert run("promise", "digits", "--forget-set", "random-50", "--out", "other.json")[0] == 0
    assert run("nonce", "promise-1.json")[0] == 0
    first = (tmp_path / "nonce.json").read_text()
    assert run("nonce", "promise-1.json", "--out", "again.json")[0] == run("nonce", "promise-1.json")[0] == 0
    assert (tmp_path / "again.json").read_text() == (tmp_path / "nonce.json").read_text() == first
    code, text = run("nonce", "promise-2.json", "--out", "second.json")
    assert code == 2
    assert "line 1 of nonces.jsonl" in text
    assert "can try seeds until one suits" in " ".join(text.split())
    assert not (tmp_path / "second.json").exists()
    code, text = run("nonce", "other.json")
    assert code == 2
    assert "nonce.json has the nonce of another promise" in text
    assert run("nonce", "other.json", "--out", "other-nonce.json")[0] == 0
    assert len((tmp_path / "nonces.jsonl").read_text().splitlines()) == 2


def test_a_proof_in_deterministic_mode_is_asked_for(made: Proven, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    assert run("record", "digits", "--deterministic", "--out", bundle)[0] == 0
    code, text = run("proof", bundle, "--deterministic", "--steps", "worst:1")
    assert code == 0, text
    code, text = run("proof", made.bundle, "--deterministic", "--steps", "worst:1")
    assert code == 3
    assert "does not say that it was recorded in torch's deterministic mode" in text


def test_one_step_is_one_step(made: Proven) -> None:
    text = run("proof", made.bundle, "--steps", "random:1")[1]
    assert "replay: 1 step was replayed, one by one, within this machine's noise" in text
    assert "345 steps of the sizes" in text


@pytest.mark.parametrize("columns", [60, 80])
def test_narrow_terminals_cut_nothing(made: Proven, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = run("proof", made.bundle, "--steps", "random:3")[1]
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("expunge.terminal.out._width", columns)
    narrow = run("proof", made.bundle, "--steps", "random:3")[1]
    assert max(len(line.rstrip()) for line in narrow.splitlines()) <= columns
    told = [line for line in wide.splitlines() if line.startswith(("  PASS", "PASS", "It does"))]
    assert len(told) > 8
    for line in told:
        assert " ".join(line.split()) in " ".join(narrow.split())


@pytest.mark.faults
def test_the_demonstration_says_what_a_pass_is_worth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").mkdir()
    for name in (".unfinished", "nonces.jsonl", "nonce.json"):  # of one that was stopped
        (tmp_path / "demo" / name).touch()
    code, text = run("demo", "--out", tmp_path / "demo")
    assert code == 0, text
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("PASS", "FAIL", "INC"))] == [
        "PASS",
        "FAIL",
        "PASS",
        "FAIL",
        "PASS",
        "FAIL",
    ]
    page = (tmp_path / "demo/demo.html").read_text()
    assert "This pass is no comfort" in page
    assert "http" not in page.replace("http-equiv", "")
    assert run("demo", "--out", tmp_path / "demo")[0] == 2
    _verify_by_hand(page, tmp_path / "demo", monkeypatch)


def _verify_by_hand(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page says to type, typed in its folder, says what the page says."""
    monkeypatch.chdir(folder)
    commands = [
        shlex.split(html.unescape(each)) for each in re.findall("<code>(expunge verify proof [^<]*)</code>", page)
    ]
    wanted = re.findall(r'<h2 id="act-\d">.*<span class="(\w+)">', page)
    assert len(commands) == len(wanted) == 6
    assert [each[-2:] for each in commands[4:]] == [["--book", "nonces.jsonl"]] * 2
    for command, outcome in zip(commands, wanted, strict=True):
        assert run(*command[2:])[1].split()[0] == outcome, command
