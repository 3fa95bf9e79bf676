"""Commands that make, bring, check and give away ensembles."""

from pathlib import Path
from typing import Annotated

import typer

from expunge.cli.application import OK, USER_ERROR, Command, app
from expunge.cli.options import (
    AsJson,
    Cluster,
    ForgetSets,
    Prune,
    Published,
    Suite,
    Workers,
    load,
    place_of_work,
    settings_of,
    share_of,
)
from expunge.cli.printing import print_checks, print_ported
from expunge.terminal import ProgressLine, print_json, print_line, say


@app.command(cls=Command, epilog="Example: EXPUNGE_STORE=/data/store expunge build digits --workers 2")
def build(
    suite: Suite,
    forget_set: Annotated[list[str] | None, typer.Option(help="Only the oracles of this forget set; repeat.")] = None,
    models: Annotated[
        int | None,
        typer.Option(
            help="Models of each ensemble, in whole groups that train together; default: all. A bench of N needs half "
            "of the suite's number, and N more."
        ),
    ] = None,
    prune: Prune = None,
    for_: Annotated[list[str] | None, typer.Option("--for", help="Build only what this method needs; repeat.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting for --for, as METHOD.KEY=VALUE; repeat.")
    ] = None,
    budget: Annotated[str, typer.Option(help="For --for: the budget of the bench to come.")] = "15%",
    workers: Workers = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> int:
    """Train all ensembles of SUITE and keep them in the store.

    Run it again and it goes on where it stopped. With --for, only what a method needs beside them: the shards of sisa,
    the logs of amnesiac, for the settings that a bench takes.
    """
    from expunge.bench.rebuild import rebuild

    where = place_of_work(workers, cluster)
    with ProgressLine("build") as watch:
        rows = rebuild(
            load(suite, prune),
            forget_set,
            methods=for_ or (),
            settings=settings_of(set_ or []),
            budget=share_of(budget),
            models=models,
            workers=where,
            watch=watch,
            say=say,
        )
    if as_json:
        print_json(rows)
        return OK
    for row in rows:
        print_line("  ".join(str(value) for value in row.values()))
    return OK


@app.command(cls=Command, epilog="Example: expunge fetch cifar10-resnet9 --forget-set set-2")
def fetch(
    suite: Suite,
    forget_set: ForgetSets = None,
    repo: Annotated[str | None, typer.Option(help="OWNER/NAME on the hub; default: where they were published.")] = None,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit of the repository.")] = "main",
    as_json: AsJson = False,
) -> int:
    """Download published margins from the Hugging Face hub.

    They are kept in the store. A store that was pushed is fetched in the same way.
    """
    from expunge.ensembles.published.sharing import fetch as run
    from expunge.suites import load_suite

    print_ported(run(load_suite(suite), forget_set, repository=repo, revision=revision), as_json)
    return OK


@app.command("import", cls=Command, epilog="Example: expunge import EasyDUB-dataset --forget-set set-2")
def import_(
    folder: Annotated[Path, typer.Argument(help="A folder in the layout of EasyDUB or of KLOM-models.")],
    forget_set: ForgetSets = None,
    models: Annotated[int | None, typer.Option(help="Only the first N models of each ensemble; default: all.")] = None,
    suite: Published = "cifar10-resnet9",
    as_json: AsJson = False,
) -> int:
    """Import published margins from a folder into the store."""
    from expunge.ensembles.published.porting import find_publication, import_published

    with ProgressLine("import") as watch:
        done = import_published(find_publication(suite), folder, forget_set, models=models, watch=watch)
    print_ported(done, as_json)
    return OK


@app.command(cls=Command, epilog="Example: expunge export my-easydub --forget-set set-2")
def export(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    forget_set: ForgetSets = None,
    models: Annotated[int | None, typer.Option(help="Only the first N models of each ensemble; default: all.")] = None,
    suite: Published = "cifar10-resnet9",
    as_json: AsJson = False,
) -> int:
    """Export margins from the store to a folder in EasyDUB's layout."""
    from expunge.ensembles.published.porting import export_easydub, find_publication

    print_ported(export_easydub(find_publication(suite), folder, forget_set, models=models), as_json)
    return OK


@app.command(cls=Command, epilog="Example: expunge check EasyDUB-dataset")
def check(
    folder: Annotated[Path | None, typer.Argument(help="A folder in a published layout; default: the store.")] = None,
    suite: Annotated[str, typer.Option(help="The suite that the margins belong to.")] = "cifar10-resnet9",
    as_json: AsJson = False,
) -> int:
    """Check margins that were made elsewhere.

    It checks their shape, looks for copies and outliers, and tests the order of columns and whether halves of an
    ensemble are exchangeable.
    """
    from dataclasses import asdict

    from expunge.bench.soundness import check as run
    from expunge.suites import load_suite

    with ProgressLine("check") as watch:
        findings = [asdict(each) for each in run(load_suite(suite), folder, watch=watch)]
    print_checks(findings, as_json)
    return OK if all(each["ok"] for each in findings) else USER_ERROR


@app.command(cls=Command, epilog="Example: expunge push me/my-ensembles --suite fashion-mnist-10k")
def push(
    repo: Annotated[str, typer.Argument(help="OWNER/NAME of a data set on the hub; created if there is none.")],
    suite: Annotated[str, typer.Option(help="The suite whose ensembles are uploaded.")],
    private: Annotated[bool, typer.Option("--private", help="Create the repository as a private one.")] = False,
    as_json: AsJson = False,
) -> int:
    """Upload the finished ensembles of a suite to the hub."""
    from expunge.ensembles.published.sharing import push as run
    from expunge.suites import load_suite

    address = run(repo, load_suite(suite), private=private)
    print_json({"commit": address}) if as_json else print_line(address)
    return OK
