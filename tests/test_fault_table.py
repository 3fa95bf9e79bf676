"""Every fault that was once found, its kind, what is said of it now, and the tests that try it."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Fault:
    """``says`` stands in the code as it is said; "" where nothing is to be said, for nothing happens."""

    kind: str
    what: str
    says: str
    tried: tuple[str, ...]


OWN, READERS, JOINING = "methods/own/test_guests.py", "test_readers.py", "bench/test_joining.py"
FAULTS = [
    Fault(
        "read before it is checked",
        "an empty file whose name has 20 digits takes gigabytes",
        "at most, got ",
        ("ensembles/test_published.py::test_an_empty_file_of_a_number_beyond_all_is_one_line",),
    ),
    Fault(
        "a guest",
        "a method raises a BaseException of its own: the bench hangs",
        "raised {in_a_line(error)}",
        (
            f"{OWN}::test_whatever_it_raises_or_breaks_is_its_own_failed_row",
            "cli/test_own_methods.py::test_a_method_that_fails_is_a_failed_row_and_the_others_finish",
        ),
    ),
    Fault(
        "names that are paths",
        "a suite, forget set or method named ../../x in records writes outside the folder",
        "is no name",
        (
            "cli/test_folders.py::test_names_in_records_lead_nowhere_and_are_no_markup",
            f"{JOINING}::test_run_json_names_no_file_outside",
        ),
    ),
    Fault(
        "a mixture of runs",
        "a bench that is killed before its records are replaced leaves old scores with new arrays",
        "of one run",
        (
            "faults/test_benches.py::test_a_bench_that_was_killed_goes_on_and_no_row_is_lost",
            f"{JOINING}::test_a_byte_that_changed_is_named",
        ),
    ),
    Fault(
        "damage that is none",
        "too many open files count as damage, and the manifest of a good chunk is deleted",
        "nothing is lost: ",
        ("test_outside.py::test_a_passing_error_is_no_damage_and_destroys_nothing",),
    ),
    Fault(
        "a full disk",
        "bench, report, leaderboard or tune end in a traceback",
        "make room or give another place",
        (
            "cli/test_folders.py::test_a_full_disk_is_one_line_and_leaves_nothing_half",
            "test_files.py::test_a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else",
        ),
    ),
    Fault(
        "writers at once",
        "two benches in one folder crash on each other's temporary files",
        "",
        ("faults/test_benches.py::test_three_benches_at_once_in_one_folder_lose_nothing",),
    ),
    Fault(
        "read before it is checked",
        "stride 0 in a .pt, a zip bomb, a sparse index file, an .npz bomb",
        "expected at most",
        (f"{READERS}::test_small_files_do_not_become_gigabytes",),
    ),
    Fault(
        "a hub without end",
        "more comes than is listed, a listing that does not end, a byte a second",
        "EXPUNGE_HUB_SECONDS",
        (
            "test_hub.py::test_a_hub_that_does_not_end_is_ended",
            "test_hub.py::test_more_bytes_than_are_allowed_are_not_asked_for",
        ),
    ),
    Fault(
        "written before it is checked",
        "oracles of a hostile store are in the store before its last file is found to be bad",
        "",
        ("ensembles/test_sharing.py::test_a_hostile_store_is_one_line_and_nothing_of_it_is_written",),
    ),
    Fault(
        "a guest",
        "a method's default type, threads, modules change the rows beside it",
        "",
        (f"{OWN}::test_a_row_of_the_table_keeps_its_bytes_beside_it",),
    ),
    Fault(
        "a guest",
        "a crash loses all rows; os._exit(0) ends the bench with 0 and no scores",
        "its process ended with exit code",
        (f"{OWN}::test_whatever_it_raises_or_breaks_is_its_own_failed_row",),
    ),
    Fault(
        "a guest",
        "a method hangs, or leaves processes behind",
        "the limit it was given",
        (
            f"{OWN}::test_one_that_hangs_is_ended_at_its_limit",
            f"{OWN}::test_what_it_started_ends_with_it",
            "faults/test_interruptions.py::test_a_method_that_hears_nothing_is_ended_all_the_same",
        ),
    ),
    Fault(
        "wrong advice",
        "the command that is printed does not mend a damaged ensemble, or builds too few models",
        "first",
        (
            "cli/test_advice.py::test_a_damaged_ensemble_is_made_anew",
            "cli/test_advice.py::test_too_few_models_are_not_advised",
        ),
    ),
    Fault(
        "shipped without a hash",
        "a flipped byte in results.json or in forget sets",
        "reinstall expunge",
        ("test_shipped.py::test_a_flipped_byte_is_one_line",),
    ),
    Fault(
        "terminals",
        "an ASCII locale ends in a traceback",
        "",
        ("cli/test_output.py::test_an_ascii_locale_prints_ascii",),
    ),
    Fault(
        "terminals",
        "escapes in names reach the terminal",
        "",
        ("cli/test_output.py::test_what_is_typed_is_shown_and_not_obeyed",),
    ),
    Fault(
        "strangers' suites",
        "a suite raises a BaseException, or a network of one does in a worker",
        "the function raised",
        ("cli/test_own_suites.py::test_an_error_of_a_suite_is_one_line",),
    ),
    Fault(
        "markup in names",
        "a raw <script> in the leaderboard",
        "",
        ("cli/test_folders.py::test_names_in_records_lead_nowhere_and_are_no_markup",),
    ),
    Fault(
        "records that cannot be true",
        "KLoM below 0, models -1, low above high, a flipped bit",
        "checksum",
        (
            "test_records.py::test_what_cannot_be_true_is_refused_whatever_its_checksum",
            "test_records.py::test_a_byte_that_changed_is_found_wherever_it_is",
        ),
    ),
    Fault(
        "names that are taken",
        "--name reference overwrites what rows are compared with",
        "what rows are compared with",
        (f"{JOINING}::test_margins_made_elsewhere_have_a_name_of_their_own",),
    ),
    Fault(
        "a cache",
        "a damaged timing cache stops a bench",
        "",
        ("cli/test_advice.py::test_a_damaged_timing_stops_nothing",),
    ),
    Fault(
        "interrupts",
        "Ctrl-C while workers start prints tracebacks of Dask",
        "expunge: interrupted",
        ("faults/test_interruptions.py::test_an_interrupt_is_one_line_and_the_end",),
    ),
    Fault(
        "devices",
        "--out or a page at /dev/null makes it a file, for everybody",
        "is no regular file",
        ("test_files.py::test_a_device_or_a_pipe_is_not_replaced_and_a_link_is_followed",),
    ),
]


@cache
def code() -> str:
    """All of the package."""
    return "\n".join(file.read_text() for file in sorted((ROOT / "expunge").rglob("*.py")))


@cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault_has_tests_and_says_what_it_should(fault: Fault) -> None:
    for place in fault.tried:
        file, _, name = place.partition("::")
        assert name in names_in(file), place
    assert fault.says in code()
