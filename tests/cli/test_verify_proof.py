"""``expunge verify proof`` and ``expunge verify demo``."""

import json
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
        (["proof", "nowhere"], "expected the folder of a bundle, there is none"),
        (["proof", "nowhere", "--steps", "best:2"], "expected all, worst:N or random:N"),
        (["proof", "nowhere", "--segment", "0"], "expected segments of 1 state or more"),
        (["proof", "nowhere", "--beacon", "none.json"], "there is no file"),
        (["proof", "nowhere", "--deployed", "none.safetensors"], "there is no file"),
    ],
)
def test_a_mistake_ends_in_one_line(arguments: list[str], words: str) -> None:
    code, text = run(*arguments)
    assert code == 2
    assert words in " ".join(text.split())
    assert "Traceback" not in text


def test_provider_and_verifier_take_turns(tmp_path: Path) -> None:
    told, nonce, bundle, model = (tmp_path / name for name in ("promise.json", "nonce.json", "bundle", "m.safetensors"))
    assert run("promise", "digits", "--seed", "3", "--out", told)[0] == 0
    assert run("nonce", told, "--out", nonce)[0] == 0
    assert run("record", "digits", "--seed", "3", "--beacon", nonce, "--out", bundle, "--model", model)[0] == 0
    code, text = run("proof", bundle, "--beacon", nonce, "--deployed", model, "--steps", "worst:1")
    assert code == 0, text
    again, text = run("nonce", told, "--out", nonce)
    assert again == 2
    assert "one promise gets one nonce" in " ".join(text.split())
    other, text = run("record", "digits", "--seed", "4", "--beacon", nonce, "--out", tmp_path / "other")
    assert other == 2
    assert "is for another promise" in " ".join(text.split())
    broken = tmp_path / "broken.json"
    broken.write_text("[]")
    none, text = run("nonce", broken, "--out", tmp_path / "n.json")
    assert none == 2
    assert "is no promise of a provider" in " ".join(text.split())


def test_the_demonstration_says_what_a_pass_is_worth(tmp_path: Path) -> None:
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
