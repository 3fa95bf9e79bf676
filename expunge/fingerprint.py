"""One digest of the code that a result depends on: the files that a module imports, directly or through one another.

Found by walking syntax trees, nothing is run. Docstrings and lines that hold a comment alone are no part of it, so that
what was computed outlives an edit of words; trailing comments are, for to find them costs more than they are worth. Of
expunge itself the stages are walked; what all stages know (the store, the engine, errors, records) carries numbers and
changes none. A package's own file holds a table, whose rows are asked for by name: it is seen through, to the module
that a name in it comes from, and is no part of a digest itself.
"""

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from expunge.errors import UnknownName

PACKAGE = Path(__file__).parent


@cache
def code_digest(*modules: str) -> str:
    """SHA-256 of what these modules of expunge do, and all modules of its stages that they import.

    >>> code_digest("expunge.metrics.klom") == code_digest("expunge.metrics.klom") != code_digest("expunge.metrics.tow")
    True
    """
    return _digest(map(_code_of, code_files(*modules)))


def code_files(*modules: str) -> list[Path]:
    """The files that :func:`code_digest` is of."""
    top = PACKAGE.parent
    found, waiting = set[Path](), [top.joinpath(*module.split(".")).with_suffix(".py") for module in modules]
    for missing in [file for file in waiting if not file.is_file()]:
        raise UnknownName(f"{missing} is no module of expunge")
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _stage_files(file, top)
    return sorted(found)


def files_digest(path: Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the file at ``path`` and of what it imports out of its folder."""
    return _digest(file.read_bytes() for file in local_files(path.resolve()))[:16]


def local_files(path: Path) -> list[Path]:
    """The file at ``path``, and the files of its own folder that it imports, by itself or through one another."""
    found, waiting = set[Path](), [path]
    while waiting:
        file = waiting.pop()
        if file not in found and file.is_file():
            found.add(file)
            waiting += [place for base in _imported(file, path.parent) for place in _files_at(base)]
    return sorted(found)


def source_of(function: Callable[..., Any]) -> str:
    """Hash of what ``function`` is and of all that it uses of its own file, but for comments and blank space.

    Where it is no function or class of that file (a partial, a lambda), of all that the file holds. What the file
    imports is not looked at.
    """
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    try:
        tree = ast.parse(inspect.getsource(module or inspect.getmodule(function) or function))
    except (OSError, TypeError, SyntaxError):
        raise UnknownName(f"the source of {function!r} cannot be read; define it in the file of the suite") from None
    parts = {name: node for node in tree.body for name in _names_of(node)}
    used, waiting = set[str](), [getattr(function, "__qualname__", "")]
    if waiting[0] not in parts:
        waiting = list(parts)
    while waiting:
        name = waiting.pop()
        if name in parts and name not in used:
            used.add(name)
            waiting += [node.id for node in ast.walk(parts[name]) if isinstance(node, ast.Name)]
    text = "\n".join(ast.dump(parts[name]) for name in sorted(used))
    return hashlib.sha256(text.encode()).hexdigest()


def _names_of(node: ast.stmt) -> list[str]:
    """The names that a statement at the top of a file defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]


def _digest(contents: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(contents)).hexdigest()


def _code_of(file: Path) -> bytes:
    return without_words(file.read_bytes())


@lru_cache(maxsize=1024)
def without_words(source: bytes) -> bytes:
    """The lines of a module without docstrings, lines of comments alone and blank lines; strings are left as they are.

    >>> without_words(b'def f():\\n    "What it does."\\n\\n    # why\\n    return 1  # one\\n')
    b'def f():\\n    return 1  # one\\n'
    """
    lines = [b"", *source.splitlines(keepends=True)]  # syntax trees count them from 1
    words, quoted = set[ast.AST](), set[int]()
    for node in ast.walk(ast.parse(source)):  # parents come before their children
        if said := _docstring(node):
            words.add(said.value)
            _cut(lines, said)
        elif isinstance(node, ast.Constant | ast.JoinedStr) and node not in words:
            quoted.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    kept = (line for number, line in enumerate(lines) if number in quoted or line.split(b"#", 1)[0].strip())
    return b"".join(kept)


def _docstring(node: ast.AST) -> ast.Expr | None:
    """The statement that documents a module, a class or a function; None where none does."""
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    first = node.body[0] if ast.get_docstring(node, clean=False) else None
    return first if isinstance(first, ast.Expr) else None


def _cut(lines: list[bytes], node: ast.stmt) -> None:
    """Take what a statement consists of out of the lines, whose number stays."""
    first, last = node.lineno, node.end_lineno or node.lineno
    before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    lines[first : last + 1] = [before + after, *[b""] * (last - first)]


def stage_modules(path: Path) -> list[str]:
    """The modules of expunge's stages that a file of the user's own imports, and what it imports out of its folder."""
    top = PACKAGE.parent
    found = {file for own in local_files(path.resolve()) for file in _stages_in(own, top)}
    return sorted(".".join(file.relative_to(top).with_suffix("").parts) for file in found)


@cache
def _stage_files(file: Path, top: Path) -> list[Path]:
    return _stages_in(file, top)


def _stages_in(file: Path, top: Path) -> list[Path]:
    """The modules of stages that one file imports, each where it is defined."""
    found: list[Path] = []
    for base in _imported(file, top):
        module, package = base.with_suffix(".py"), base.parent / "__init__.py"
        if PACKAGE not in base.parents or base.parent == PACKAGE:  # a stranger's, a stage itself, or known to all
            continue
        if module.is_file():
            found.append(module)
        elif package.is_file() and not base.is_dir():
            found += _defined_in(package, base.name, top)
    return found


def _defined_in(package: Path, name: str, top: Path) -> list[Path]:
    """The module out of which the file of a package imports ``name``; none for what is the package's own."""
    for node in _statements(package):
        if isinstance(node, ast.ImportFrom) and name in [each.asname or each.name for each in node.names]:
            module = top.joinpath(*(node.module or "").split(".")).with_suffix(".py")
            return [module] if module.is_file() else []
    return []


def _statements(file: Path) -> list[ast.Import | ast.ImportFrom]:
    return _imports_in(file.read_bytes())  # read anew: a user's file changes while a program runs


@lru_cache(maxsize=1024)
def _imports_in(source: bytes) -> list[ast.Import | ast.ImportFrom]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def _imported(file: Path, folder: Path) -> Iterator[Path]:
    """Where what a file imports may lie, without ending: every dotted name, and the packages that it is in."""
    for node in _statements(file):
        names = [each.name for each in node.names]
        level = 0
        if isinstance(node, ast.ImportFrom):
            level = node.level
            names = [".".join(filter(None, [node.module, name])) for name in ["", *names]]
        base = file.parents[level - 1] if level else folder
        for name in names:
            parts = name.split(".") if name else []
            yield from (base.joinpath(*parts[:end]) for end in range(1, len(parts) + 1))


def _files_at(base: Path) -> list[Path]:
    return [base.with_suffix(".py"), base / "__init__.py"]
