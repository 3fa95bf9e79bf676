"""Cards of methods: what one is, costs and got, in words; the same facts make ``docs/methods.md``. And BibTeX."""

import dataclasses
import inspect
from importlib.metadata import version
from typing import Any

from expunge.attacks import ATTACKS, DEFENCES
from expunge.audits import AUDITS
from expunge.errors import BadSetting, UnknownName, suggestion
from expunge.methods import METHODS, Method
from expunge.methods.references import REFERENCES, Reference
from expunge.methods.searches import BUDGETS, Search, settings_in_words
from expunge.methods.tuned import shipped
from expunge.metrics import METRICS
from expunge.reports.leaderboard.results import Result, read_results
from expunge.reports.studies.markdown import Markdown, code, grid
from expunge.reports.tables.formats import compute

TITLE = "expunge: knowing whether a machine-learning model has really forgotten"
YEAR = 2026
PAGE = """\
# Methods

What each row of `expunge list methods` is. `expunge info NAME` shows the same, and what it was measured to cost and to
reach; `expunge cite NAME` prints its references as BibTeX. `CE` is the loss that the models were trained on: mean
cross-entropy, labels smoothed where the suite's recipe does. Examples are taken as they are: what a recipe augments, it
augments in training and retraining. Made by `make docs` from the methods' files: do not edit.

"""


def card(name: str) -> dict[str, Any]:
    """All that is known of the method ``name``."""
    method = METHODS[name]
    return {
        **facts(name),
        "what": method.summary if method.anchor else inspect.getdoc(method.config),
        "sources": [f"{each.short}: {each.title}" for each in method.references.values()],
        "cost": cost(name),
        "tuned": {_served(search): _found(search) for search in shipped(name) if search.frontier},
        "deviations": deviations(method),
        **({"moves little": method.moves_little} if method.moves_little else {}),
        "results": {f"{each.suite} {each.forget_set}": each.in_words for each in results(name)} or "no results yet",
    }


def facts(name: str) -> dict[str, Any]:
    """The short entry of a listing."""
    method = METHODS[name]
    return {
        "name": name,
        "kind": "method",
        "summary": method.summary,
        "source": method.source,
        "needs": list(method.needed),
        "settings": defaults(method),
    }


def defaults(method: Method) -> dict[str, Any]:
    """The settings of a method and what they are unless said otherwise."""
    return {field.name: field.default for field in dataclasses.fields(method.config)}


def deviations(method: Method) -> str:
    """What public code does otherwise; where nothing is said, nobody has looked."""
    return method.deviations or ("nothing to compare" if method.anchor else "not compared with public code")


def results(name: str) -> list[Result]:
    """What the method was measured to reach, on every suite and forget set there are results of."""
    return [each for each in read_results() if each.method == name]


def cost(name: str) -> str:
    """What it was measured to cost, and whether that holds the training of models from their first weights."""
    costs = [each.cost for each in results(name) if each.cost is not None]
    scratch = "holds the training of models from their first weights" if METHODS[name].from_scratch else ""
    if not costs:
        return ", ".join(filter(None, [scratch, "not measured yet"]))
    least, most = compute(min(costs)), compute(max(costs))
    spent = least if least == most else f"{least} to {most}"
    return ", ".join(filter(None, [scratch, f"{spent} of a retraining, measured"]))


def _served(search: Search) -> str:
    """What a search is for."""
    return f"{search.suite}, {search.kind}"


def _found(search: Search) -> str:
    """What was found for each budget: the objective, and the settings that reach it."""
    stops: dict[int, list[str]] = {}
    for budget in [each for each in BUDGETS if each <= search.reach]:
        stop = search.at(budget)
        if stop:
            stops.setdefault(search.frontier.index(stop), []).append(f"{100 * budget:g}")
    told = []
    for at, budgets in stops.items() or [(0, ["any"])]:
        stop, share = search.frontier[at], " and ".join(budgets)
        settings = settings_in_words(stop.settings, search.space)
        told.append(f"at {share} %: {stop.objective:.2f} with {settings} (cost {compute(stop.cost)})")
    short = f", up to {compute(search.reach)} of a retraining" if search.reach < 1 else ""
    return (
        f"{'; '.join(told)}; doing nothing {search.untouched.objective:.2f}; {len(search.trials)} trials, "
        f"{search.sampler}, seed {search.seed}{short}"
    )


def methods_page() -> str:
    """``docs/methods.md``: a table of all rows, then a card for each. What was measured is left to the command."""
    lines = [
        [
            Markdown(f"[{code(name)}](#{name})"),
            method.summary,
            ", ".join(method.needed) or "–",
            method.source if method.cite else "–",
        ]
        for name, method in METHODS.items()
    ]
    table = grid(["method", "what it does", "needs", "source"], lines)
    return f"{PAGE}{table}\n" + "".join(_section(name) for name in METHODS)


def _section(name: str) -> str:
    method = METHODS[name]
    sources = [f"{each.authors.replace(' and ', '; ')}: {_cited(each)}" for each in method.references.values()]
    settings = [f"`{key}` = {value}" for key, value in defaults(method).items()]
    tuned = [f"\n  - {_served(search)}: {_found(search)}" for search in shipped(name) if search.frontier]
    rows = {
        "Needs": ", ".join(method.needed) or "nothing but the models",
        "Settings": ", ".join(settings) or "none",
        "Tuned": "".join(tuned) or ("not yet" if method.search else "nothing to tune"),
        "Deviations": deviations(method),
        "Sources": "".join(f"\n  - {each}" for each in sources) or "none",
    }
    if method.moves_little:
        rows["Moves little"] = method.moves_little
    if method.from_scratch:
        rows["Cost"] = "holds the training of models from their first weights, so nothing is saved"
    what = "" if method.anchor else f"{inspect.getdoc(method.config)}\n\n"
    items = "".join(f"- {key}: {value}\n" for key, value in rows.items()).replace(": \n", ":\n")
    return f"\n## {name}\n\n{method.summary[0].upper()}{method.summary[1:]}.\n\n{what}{items}"


def _cited(entry: Reference) -> str:
    """Title, place and year of a reference, with an address."""
    place = f", {entry.published}" if entry.published else ""
    links = [f"[arXiv:{entry.arxiv}](https://arxiv.org/abs/{entry.arxiv})"] if entry.arxiv else []
    links += [f"[doi:{entry.doi}](https://doi.org/{entry.doi})"] if entry.doi else []
    links += [f"<{entry.url}>"] if entry.url else []
    return f"*{entry.title}*{place} {entry.year}{''.join(f', {link}' for link in links)}."


def cite(name: str = "") -> str:
    """BibTeX of all references of a method, metric, audit, attack or defence; of expunge itself without a name."""
    if name in ("", "expunge"):
        return own_bibtex()
    sources = {name: row.source for table in (METRICS, AUDITS, DEFENCES) for name, row in table.items()}
    known = ["expunge", *METHODS, *ATTACKS, *sources]
    if name not in known:
        raise UnknownName(f"unknown method, metric, audit, attack or defence {name!r}; {suggestion(name, known)}")
    if name in METHODS or name in ATTACKS:
        found = METHODS[name].references if name in METHODS else ATTACKS[name].references
    else:
        found = _references_of(sources[name])
    if not found:
        raise BadSetting(f"{name!r} comes from no publication; cite expunge, as `expunge cite` prints it")
    return "\n\n".join(each.bibtex(key) for key, each in found.items())


def _references_of(source: str) -> dict[str, Reference]:
    return {key: each for key, each in REFERENCES.items() if each.arxiv and f"arXiv:{each.arxiv}" in source}


def own_bibtex() -> str:
    """The entry for expunge, of the version that is installed."""
    fields = {
        "author": "{The expunge authors}",
        "title": f"{{{TITLE}}}",
        "year": str(YEAR),
        "version": version("expunge"),
    }
    lines = ",\n".join(f"  {key} = {{{value}}}" for key, value in fields.items())
    return f"@software{{expunge,\n{lines}\n}}"
