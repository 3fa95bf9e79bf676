"""``expunge build`` for one method alone."""

import json
from pathlib import Path

from tests.cli.commands import TINY, refused, run


def test_build_for_a_method_builds_what_it_starts_from_and_refuses_others(own_store: Path) -> None:
    done = run("build", TINY, "--for", "sisa", "--set", "sisa.shards=2", "--models", "2", "--workers", "1", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["ensemble"] == "sharded"
    assert Path(row["folder"]).relative_to(own_store).parts[1:] == ("sharded", "shards-2", "slices-2")
    assert "'scrub' needs nothing beside" in refused(run("build", TINY, "--for", "scrub"))
