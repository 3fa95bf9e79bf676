"""Who stands where: a suite is benched forget set by forget set, and the pages are made of all records there are."""

from collections.abc import Sequence
from pathlib import Path

from expunge.bench.plan import plan_bench
from expunge.bench.run import run_bench
from expunge.engine import Watch, default_workers, silent
from expunge.ensembles import Plan, build_all, derive_forget_sets
from expunge.files import write_file
from expunge.methods import find_method
from expunge.reports.leaderboard.front import FRONT, front_block, read_page, with_block
from expunge.reports.leaderboard.frontiers import PLOT, draw_frontiers
from expunge.reports.leaderboard.pages import results_page
from expunge.reports.leaderboard.records import collect, read_records
from expunge.reports.leaderboard.results import SHIPPED, summarise, write_results
from expunge.suites import Suite
from expunge.suites.derived import with_derived


def study_standings(
    suite: Suite,
    forget_sets: Sequence[str],
    methods: Sequence[str],
    out: Path,
    root: Path,
    watch: Watch = silent,
    *,
    shipped: Path = SHIPPED,
) -> None:
    """Build what ``forget_sets`` need (default: all of them), and bench ``methods`` on each in ``out/FORGET_SET``.

    By default those are all that need no models of their own. Each forget set is finished by itself: its records are in
    ``root/results``, and the pages written, before the next begins. What the store has is not computed again.
    """
    workers = default_workers()
    for name in methods:
        find_method(name)  # a wrong name is known before the hours
    shared = [(Plan(suite, "pretrained"), suite.models), (Plan(suite, "subset"), suite.subsets)]
    build_all(shared, workers=workers, watch=watch)
    derive_forget_sets(suite)
    suite = with_derived(suite)
    for name in forget_sets or suite.forget_sets:
        build_all([(Plan(suite, "oracle", suite.forget_sets[name]), suite.models)], workers=workers, watch=watch)
        models = min(100, suite.models // 2)
        plan = plan_bench(suite, methods or None, [name], models=models, classic=True)
        run_bench(plan, out / name, workers=workers, watch=watch)
        publish([out / name], root, shipped)


def publish(outs: Sequence[Path], root: Path, shipped: Path = SHIPPED) -> None:
    """Collect the records of the benches in ``outs`` in ``root/results``, and write anew what is made of all of them.

    That is ``results/README.md``, the block in ``README.md``, and the file ``shipped`` with the package.
    """
    results, readme = root / "results", root / "README.md"
    for out in outs:
        collect(out, results)
    write_file(results / "README.md", results_page(results))
    draw_frontiers(results / PLOT, FRONT)
    write_file(readme, with_block(read_page(readme), front_block(results)))
    write_results(shipped, [each for scores in read_records(results).values() for each in summarise(scores)])
