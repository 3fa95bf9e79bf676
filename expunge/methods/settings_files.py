"""Settings in files: a table for each method, TOML or JSON, or the record of a search that ``tune --out`` wrote."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expunge.errors import BadSetting, in_a_line
from expunge.methods import find_method
from expunge.methods.addresses import addressed
from expunge.methods.searches import Search, read_search
from expunge.outside import place_of, read_bytes

LOADERS = {".toml": tomllib.loads, ".json": json.loads}


@dataclass(frozen=True)
class Filed:
    """What files say: settings by method, and searches by the method that they are for."""

    settings: dict[str, dict[str, object]] = field(default_factory=dict)
    searches: dict[str, Search] = field(default_factory=dict)

    def under(self, others: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
        """Settings by method, those of ``others`` before those of files."""
        names = [*self.settings, *(name for name in others if name not in self.settings)]
        return {name: {**self.settings.get(name, {}), **others.get(name, {})} for name in names}


def read_settings(files: Sequence[Path | str], methods: Sequence[str] | None = None) -> Filed:
    """What ``files`` say of methods, which may be addressed as the user's own among ``methods`` are.

    A file is ``{"fine-tune": {"lr": 0.02}}``, in TOML ``[fine-tune]`` above ``lr = 0.02``, or the record of a search. A
    method that two files speak of is refused: which of the two is meant would be a guess.
    """
    found, said = Filed(), dict[str, Path]()
    for file in (place_of(each, BadSetting) for each in files):
        content = _loaded(file)
        if "schema" in content and "trials" in content:
            search = read_search(file)
            name = _known(search.method, methods, said, file)
            if not search.frontier:
                raise BadSetting(f"{file}: the search for {name!r} found no settings: every trial failed; tune again")
            found.searches[name] = search
            continue
        for key, table in content.items():
            if not isinstance(table, Mapping):
                raise BadSetting(
                    f"{file}: expected a table of settings for each method, got {in_a_line(f'{key} = {table!r}')}; "
                    "write its method above it, as [fine-tune]"
                )
            found.settings[_known(key, methods, said, file)] = dict(table)
    return found


def _known(key: str, methods: Sequence[str] | None, said: dict[str, Path], file: Path) -> str:
    """The method that a file speaks of; refused where there is none, or another file speaks of it too."""
    name = addressed(key, methods or ())
    try:
        find_method(name)
    except BadSetting:
        raise
    except ValueError as error:
        raise BadSetting(f"{file}: {error}") from None
    if name in said:
        raise BadSetting(f"{file}: settings of {name!r} stand in {said[name]} too; give one of the two")
    said[name] = file
    return name


def _loaded(file: Path) -> dict[str, Any]:
    """The tables of a file."""
    if file.is_dir():
        raise BadSetting(f"{file}: expected a file of settings, .toml or .json, got a folder; name the file within")
    if file.suffix not in LOADERS:
        raise BadSetting(f"{file}: expected settings in a .toml or .json, got {file.suffix or 'no ending'}; rename it")
    try:
        content = LOADERS[file.suffix](read_bytes(file, BadSetting).decode())
    except (BadSetting, MemoryError):
        raise
    except (ValueError, RecursionError) as error:  # both loaders' own errors are ValueErrors
        raise BadSetting(f"{file} is no {file.suffix[1:].upper()}: {in_a_line(str(error))}; mend it") from None
    if not isinstance(content, dict):
        raise BadSetting(f"{file}: expected a table of settings for each method, got {type(content).__name__}")
    return content
