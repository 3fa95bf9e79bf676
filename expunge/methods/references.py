"""Where methods come from: the entries of references.toml, in a few words and as BibTeX."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from expunge.shipped import read_shipped


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One publication; ``authors`` as BibTeX writes them. A preprint has no ``venue`` and no ``journal``."""

    authors: str
    title: str
    year: int
    venue: str = ""
    journal: str = ""
    arxiv: str = ""
    doi: str = ""
    url: str = ""

    @property
    def short(self) -> str:
        """First author, year, and where to find it.

        >>> Reference(authors="Ada, A. and Bob, B. and Cy, C.", title="T", year=2023, arxiv="2302.09880").short
        'Ada et al. 2023, arXiv:2302.09880'
        """
        names = [name.partition(",")[0] for name in self.authors.split(" and ")]
        who = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}" if len(names) == 2 else f"{names[0]} et al."
        place = f"arXiv:{self.arxiv}" if self.arxiv else f"doi:{self.doi}" if self.doi else self.published or self.url
        return f"{who} {self.year}, {place}"

    @property
    def published(self) -> str:
        """The conference or the journal."""
        return self.venue or self.journal

    def bibtex(self, key: str) -> str:
        """The entry for a bibliography."""
        kind, field = ("article", "journal") if self.journal else ("inproceedings", "booktitle")
        where = {field: _escaped(self.published)} if self.published else {"howpublished": self.url} if self.url else {}
        fields = {"author": self.authors, "title": f"{{{_escaped(self.title)}}}", **where, "year": str(self.year)}
        fields |= {"eprint": self.arxiv, "archiveprefix": "arXiv"} if self.arxiv else {}
        fields |= {"doi": self.doi} if self.doi else {}
        fields |= {"url": self.url} if self.url and self.published else {}
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@{kind if self.published else 'misc'}{{{key},\n{lines}\n}}"


def _escaped(text: str) -> str:
    """Text with a backslash before what LaTeX would not print.

    >>> _escaped("EuroS&P")
    'EuroS\\\\&P'
    """
    return re.sub(r"([&%$#_])", r"\\\1", text)


def _read() -> dict[str, Reference]:
    entries = tomllib.loads(read_shipped(Path(__file__).with_name("references.toml")).decode())
    return {key: Reference(**entry) for key, entry in entries.items()}


REFERENCES = _read()
