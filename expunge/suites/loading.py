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


def load_function(kind: str, name: str) -> Callable[..., Any]:
    """The function that ``name`` names, ``file.py:function``; ``kind`` is what it is to be, for messages.

    The file is run once, and again when it changes. Its classes and functions are pickled by value, for processes that
    cannot import it.
    """
    place, _, function = name.rpartition(":")
    path = Path(place).expanduser()
    if not path.is_file():
        raise UnknownName(f"{kind} {name!r}: there is no file {place!r}; expected file.py:function")
    module = _import(kind, name, path.resolve(), path.stat().st_mtime_ns)
    found = getattr(module, function, None)
    if not callable(found):
        own = (key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__)
        functions = [key for key in own if callable(getattr(module, key)) and not key.startswith("_")]
        hint = suggestion(function, functions) if functions else "it has no functions"
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


@functools.cache
def _import(kind: str, name: str, path: Path, changed_ns: int) -> ModuleType:
    place = name.rpartition(":")[0]
    unique = hashlib.sha256(f"{path}{changed_ns}".encode()).hexdigest()[:8]
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
    """The files of ``folder`` can be imported, as when Python runs one of them, and are pickled by value too."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
    for key in sys.modules.keys() - before:
        file = getattr(sys.modules[key], "__file__", None)
        if file and Path(file).resolve().is_relative_to(folder):
            cloudpickle.register_pickle_by_value(sys.modules[key])
