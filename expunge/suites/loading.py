"""Functions out of a file of the user's own, named as ``file.py:function``."""

import ast
import contextlib
import functools
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from expunge.errors import UnknownName, suggestion

_NEIGHBOURS: set[str] = set()  # names of modules that lie beside a file of the user's own, and were imported by it


def load_function(kind: str, name: str) -> Callable[..., Any]:
    """The function that ``name`` names, ``file.py:function``; ``kind`` is what it is to be, for messages.

    The file is run once, and again when it changes, or what it imports out of its folder. Its classes and functions
    are pickled by value, for processes that cannot import it.
    """
    place, _, function = name.rpartition(":")
    path = Path(place).expanduser()
    if not path.is_file():
        raise UnknownName(f"{kind} {name!r}: there is no file {place!r}; expected file.py:function")
    module = _import(kind, name, path.resolve(), fingerprint(path))
    found = getattr(module, function, None)
    if not callable(found):
        own = (key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__)
        functions = [key for key in own if callable(getattr(module, key)) and not key.startswith("_")]
        hint = suggestion(function, functions, f"{place} has") if functions else "it has no functions"
        raise UnknownName(f"{kind} {name!r}: {place!r} has no function {function!r}; {hint}")
    result: Callable[..., Any] = found
    return result


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


def without_folder(name: str) -> str:
    """``file.py:function`` without its folder, so that from wherever it is named it draws the same numbers."""
    return Path(name).name if ":" in name else name


def fingerprint(path: Path) -> str:
    """SHA-256 of the file at ``path`` and of what it imports out of its folder."""
    files = local_files(path.resolve())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def local_files(path: Path) -> list[Path]:
    """The file at ``path``, and the files of its own folder that it imports, by itself or through one another."""
    folder, found, waiting = path.parent, set[Path](), [path]
    while waiting:
        file = waiting.pop()
        if file in found or not file.is_file():
            continue
        found.add(file)
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for parts in _imported(node):
                    level = node.level if isinstance(node, ast.ImportFrom) else 0
                    base = (file.parents[level - 1] if level else folder).joinpath(*parts)
                    waiting += [base.with_suffix(".py"), base / "__init__.py"]
    return sorted(found)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[list[str]]:
    """The parts of each dotted name that a statement may import, and of the packages that they are in."""
    names = [each.name for each in node.names]
    if isinstance(node, ast.ImportFrom):
        names = [".".join(filter(None, [node.module, name])) for name in ["", *names]]
    for name in names:
        parts = name.split(".") if name else []
        yield from (parts[:end] for end in range(1, len(parts) + 1))


@functools.cache
def _import(kind: str, name: str, path: Path, content: str) -> ModuleType:
    place = name.rpartition(":")[0]
    unique = hashlib.sha256(f"{path}{content}".encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"expunge_user_{path.stem}_{unique}", path)
    if spec is None or spec.loader is None:
        raise UnknownName(f"{kind} {name!r}: {place!r} is no Python file; expected file.py:function")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look there
    try:
        with _neighbours(path.parent), contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's file may raise anything
        del sys.modules[spec.name]
        reason = f"{type(error).__name__}: " + str(error).partition("\n")[0]
        raise UnknownName(f"{kind} {name!r}: importing {place!r} raised {reason}") from error
    cloudpickle.register_pickle_by_value(module)
    return module


@contextlib.contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """The files of ``folder`` can be imported, as when Python runs one of them, and are pickled by value too.

    Those that were imported so before, here or in another folder, are forgotten: they may have changed, or be others.
    """
    for key in list(_NEIGHBOURS):
        if known := sys.modules.pop(key, None):
            cloudpickle.unregister_pickle_by_value(known)
        _NEIGHBOURS.remove(key)
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for key in sys.modules.keys() - before:
            if _lies_in(sys.modules[key], folder):
                cloudpickle.register_pickle_by_value(sys.modules[key])
                _NEIGHBOURS.add(key)


def _lies_in(module: ModuleType | None, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and Path(str(file)).resolve().is_relative_to(folder)
