"""The verifier's book: a removal has one nonce, a promise has it again, and a bad line is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from expunge.audits.proofs.beacon import Beacon
from expunge.audits.proofs.book import issued, read_book
from expunge.audits.proofs.manifest import Promise
from expunge.audits.proofs.provider import promise, prove_promised
from expunge.audits.proofs.verification import Policy, Verified, verify
from expunge.checksums import sealed
from expunge.errors import BadProof, NonceRefused
from expunge.suites import Suite


def first(suite: Suite, seed: int = 1) -> Promise:
    return promise(suite, suite.forget_sets["first"], seed).promise


def more(suite: Suite) -> Promise:
    return promise(suite, suite.forget_sets["more"], 1).promise


def test_the_same_promise_gets_the_same_nonce_again(tiny_suite: Suite, tmp_path: Path) -> None:
    book = tmp_path / "nonces.jsonl"
    beacon, line = issued(book, first(tiny_suite))
    written = book.read_bytes()
    assert issued(book, first(tiny_suite)) == (beacon, line) == (beacon, 1)
    assert book.read_bytes() == written


def test_other_removals_get_other_nonces(tiny_suite: Suite, tmp_path: Path) -> None:
    book = tmp_path / "nonces.jsonl"
    one, other = issued(book, first(tiny_suite))[0], issued(book, more(tiny_suite))
    assert other[1] == 2
    assert other[0].nonce != one.nonce
    assert [each.beacon for each in read_book(book).entries] == [one, other[0]]


@pytest.mark.parametrize(
    "lie", [{}, {"kept_root": "0" * 64}, {"removed": (1, 2)}, {"suite_digest": "0", "code": "0" * 64}]
)
def test_another_promise_for_the_same_removal_is_refused(
    tiny_suite: Suite, tmp_path: Path, lie: dict[str, object]
) -> None:
    """Whatever else it says: what is kept, or what is removed, is the same."""
    book = tmp_path / "nonces.jsonl"
    issued(book, first(tiny_suite))
    other = first(tiny_suite, seed=2).model_copy(update=lie)
    with pytest.raises(NonceRefused, match=r"\(line 1 of .*\).*can try seeds until one suits"):
        issued(book, other)
    assert len(read_book(book).entries) == 1


def test_the_same_removal_from_other_data_is_another(tiny_suite: Suite, tmp_path: Path) -> None:
    book = tmp_path / "nonces.jsonl"
    issued(book, first(tiny_suite))
    other = first(tiny_suite, seed=2).model_copy(update={"root": "0" * 64})
    assert issued(book, other)[1] == 2


def test_a_book_that_cannot_be_written_stays_as_it_was(
    tiny_suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = tmp_path / "nonces.jsonl"
    issued(book, first(tiny_suite))
    before = book.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        issued(book, more(tiny_suite))
    assert book.read_bytes() == before


def entry(**changes: object) -> Callable[[dict[str, object]], str]:
    return lambda told: json.dumps(sealed({**told, **changes}))


BAD_LINES: dict[str, tuple[Callable[[dict[str, object]], str], str]] = {
    "no JSON": (lambda told: "{", "Expecting property name"),
    "a list": (lambda told: "[]", "it states no checksum"),
    "nothing": (lambda told: "", "Expecting value"),
    "nesting": (lambda told: "[" * 100_000, "nested too deep"),
    "no checksum": (json.dumps, "it states no checksum"),
    "an edited line": (lambda told: json.dumps({**sealed(told), "nonce": "1" * 64}), "does not have the checksum"),
    "a short nonce": (entry(nonce="0"), "nonce: String should match"),
    "a nonce that is obeyed": (entry(nonce="\x1b[31m" + "0" * 64), "nonce: String should match"),
    "no promise": (entry(promise=None), "promise: Input should be a valid dictionary"),
    "something more": (entry(run="rm -rf /"), "run: Extra inputs"),
    "the removal of before": (entry(nonce="1" * 64), "the removal of line 1 again; one removal has one nonce"),
    "bytes that are no text": (lambda told: "\udcff", "0xff, is no UTF-8"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named(name: str, tiny_suite: Suite, tmp_path: Path) -> None:
    book, (line, words) = tmp_path / "nonces.jsonl", BAD_LINES[name]
    issued(book, first(tiny_suite))
    told: dict[str, object] = {"promise": first(tiny_suite).model_dump(mode="json"), "nonce": "0" * 64}
    with book.open("ab") as stream:
        stream.write(line(told).encode(errors="surrogateescape") + b"\n")
    with pytest.raises(BadProof, match=words) as raised:
        read_book(book)
    assert str(raised.value).startswith(f"{book}, line 2: ")
    assert "\n" not in str(raised.value)
    with pytest.raises(BadProof):
        issued(book, more(tiny_suite))


def test_a_book_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadProof, match="there is no file"):
        read_book(tmp_path / "none.jsonl")


def failed(found: Verified) -> dict[str, str]:
    return {each.check: each.reason for each in found.findings if each.outcome != "PASS"}


@pytest.fixture
def bound(tiny_suite: Suite, tmp_path: Path) -> tuple[Path, Path, Beacon]:
    """A bundle in the order of a nonce, the book that has it, the nonce itself."""
    book, mine = tmp_path / "nonces.jsonl", promise(tiny_suite, tiny_suite.forget_sets["first"], 1)
    beacon, _ = issued(book, mine.promise)
    return prove_promised(tiny_suite, mine, tmp_path / "bundle", beacon.nonce).bundle, book, beacon


def test_the_nonce_is_taken_from_the_book(tiny_suite: Suite, bound: tuple[Path, Path, Beacon]) -> None:
    bundle, book, beacon = bound
    forget = tiny_suite.forget_sets["first"]
    for policy in (Policy(book=read_book(book)), Policy(book=read_book(book), beacon=beacon)):
        found = verify(bundle, tiny_suite, forget, policy)
        assert found.verdict.outcome == "PASS", found.verdict.reasons
        assert {"beacon", "book"} <= {each.check for each in found.findings}
        assert found.verdict.facts["nonce from a book"] is True
        assert "no other nonce for this removal" not in found.verdict.shows_not


def test_a_nonce_without_a_book_is_said_to_be_one(tiny_suite: Suite, bound: tuple[Path, Path, Beacon]) -> None:
    bundle, _, beacon = bound
    found = verify(bundle, tiny_suite, tiny_suite.forget_sets["first"], Policy(beacon=beacon))
    assert found.verdict.outcome == "PASS"
    assert "nor that the provider had no other nonce for this removal before" in found.verdict.shows_not
    assert found.verdict.facts["nonce from a book"] is False


def test_another_nonce_than_that_of_the_book_fails(tiny_suite: Suite, bound: tuple[Path, Path, Beacon]) -> None:
    bundle, book, beacon = bound
    policy = Policy(book=read_book(book), beacon=Beacon(beacon.promised, "0" * 64))
    found = failed(verify(bundle, tiny_suite, tiny_suite.forget_sets["first"], policy))
    assert "is not the one that" in found["book"]


def test_a_promise_that_is_in_no_line_fails(
    tiny_suite: Suite, bound: tuple[Path, Path, Beacon], tmp_path: Path
) -> None:
    issued(tmp_path / "other.jsonl", more(tiny_suite))
    policy = Policy(book=read_book(tmp_path / "other.jsonl"))
    assert (
        "has no nonce for the promise"
        in failed(verify(bound[0], tiny_suite, tiny_suite.forget_sets["first"], policy))["book"]
    )


def test_a_second_promise_fails_by_the_book(
    tiny_suite: Suite, bound: tuple[Path, Path, Beacon], tmp_path: Path
) -> None:
    """The provider asked again elsewhere, with another seed of first weights, and proves that."""
    forget, again = tiny_suite.forget_sets["first"], promise(tiny_suite, tiny_suite.forget_sets["first"], 2)
    beacon, _ = issued(tmp_path / "elsewhere" / "nonces.jsonl", again.promise)
    bundle = prove_promised(tiny_suite, again, tmp_path / "again", beacon.nonce).bundle
    assert verify(bundle, tiny_suite, forget, Policy(beacon=beacon)).verdict.outcome == "PASS"
    found = failed(verify(bundle, tiny_suite, forget, Policy(beacon=beacon, book=read_book(bound[1]))))
    assert "was issued for another promise" in found["book"]
