"""Functions out of a file of the user's own, named as ``file.py:function``."""

import contextlib
import functools
import hashlib
import importlib.util
import random
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np
import torch

from expunge.errors import UnknownName, in_a_line, suggestion
from expunge.fingerprint import files_digest

SLOW_SECONDS = 20.0  # after which it is said that a file is still being imported
_LOADED: list[ModuleType] = []
_NEIGHBOURS: set[str] = set()  # names of modules that lie beside a file of the user's own, and were imported by it


def load_function(kind: str, name: str) -> Callable[..., Any]:
    """The function that ``name`` names, ``file.py:function``; ``kind`` is what it is to be, for messages.

    The file is run once, and again when it changes, or what it imports out of its folder. Its classes and functions
    are pickled by value, for processes that cannot import it.
    """
    module, function = _named(kind, name)
    found = getattr(module, function, None)
    if not callable(found):
        raise _lacks(kind, name, module)
    result: Callable[..., Any] = found
    return result


def load_member(kind: str, name: str, others: type) -> tuple[Any, ModuleType]:
    """Whatever ``name`` names, ``file.py:NAME``, and the file as a module; otherwise as :func:`load_function`.

    Where there is none, those of type ``others`` are offered beside functions.
    """
    module, member = _named(kind, name)
    if not hasattr(module, member):
        raise _lacks(kind, name, module, others)
    return getattr(module, member), module


def _named(kind: str, name: str) -> tuple[ModuleType, str]:
    """The file of ``file.py:NAME`` as a module, and NAME."""
    place, _, member = name.rpartition(":")
    path = Path(place).expanduser()
    if not path.is_file():
        raise UnknownName(f"{kind} {name!r}: there is no file {place!r}; expected file.py:function")
    return _import(kind, name, path.resolve(), files_digest(path)), member


def _lacks(kind: str, name: str, module: ModuleType, *others: type) -> UnknownName:
    """What to raise where a file has not what it is asked for."""
    place, _, member = name.rpartition(":")
    own = {
        key
        for key, value in vars(module).items()
        if isinstance(value, others)
        or (callable(value) and getattr(value, "__module__", "") == module.__name__ and not key.startswith("_"))
    }
    hint = suggestion(member, own, f"{place} has") if own else "it has no functions"
    return UnknownName(f"{kind} {name!r}: {place!r} has no function {member!r}; {hint}")


def raised_by(error: BaseException) -> str:
    """What was raised by code of a file that was loaded here, in a line with its place; "" where none of it was."""
    files = {str(module.__file__) for module in _LOADED}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}, raised {in_a_line(error)}" if frames else ""


def without_folder(name: str) -> str:
    """``file.py:function`` without its folder, so that from wherever it is named it draws the same numbers."""
    return Path(name).name if ":" in name else name


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
        with _neighbours(path.parent), as_it_was(), _patience(f"importing {place!r}"):
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        del sys.modules[spec.name]
        raise
    except BaseException as error:  # the user's file may raise anything
        del sys.modules[spec.name]
        raise UnknownName(f"{kind} {name!r}: importing {place!r} raised {in_a_line(error)}") from error
    cloudpickle.register_pickle_by_value(module)
    _LOADED.append(module)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # for what its functions import when they are called; it hides nothing
    return module


@contextlib.contextmanager
def as_it_was() -> Iterator[None]:
    """For a stranger's code in this process: chance, default type and device, threads and folder are then as before."""
    dtype, device, threads = torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()
    gradients, ours, numpys = torch.is_grad_enabled(), random.getstate(), np.random.get_state()  # noqa: NPY002
    gpus = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(gpus), contextlib.chdir("."), contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            if torch.get_default_device() != device:
                torch.set_default_device(None if device.type == "cpu" else device)
            torch.set_num_threads(threads)
            torch.set_grad_enabled(gradients)
            random.setstate(ours)
            np.random.set_state(numpys)  # noqa: NPY002


@contextlib.contextmanager
def _patience(what: str) -> Iterator[None]:
    """Say, once it takes long, what is waited for."""
    said = f"still {what}, after {SLOW_SECONDS:g} s; Ctrl-C ends it"
    timer = threading.Timer(SLOW_SECONDS, warnings.warn, [said], {"stacklevel": 2})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """The files of ``folder`` can be imported, as when Python runs one of them, and are pickled by value too.

    Those that were imported so before, here or in another folder, are forgotten: they may have changed, or be others.
    Nothing is compiled into the folder: by what Python keeps there, a file that was changed within a second and is as
    long as before would be taken for unchanged.
    """
    writes_none = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    for key in list(_NEIGHBOURS):
        if known := sys.modules.pop(key, None):
            cloudpickle.unregister_pickle_by_value(known)
        _NEIGHBOURS.remove(key)
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_none
        sys.path.remove(str(folder))
        for key in sys.modules.keys() - before:
            if _lies_in(sys.modules[key], folder):
                cloudpickle.register_pickle_by_value(sys.modules[key])
                _NEIGHBOURS.add(key)


def _lies_in(module: ModuleType | None, folder: Path) -> bool:
    """Whether a module was found in ``folder``, and not in an environment that lies there, as a project's ``.venv``."""
    file = getattr(module, "__file__", None)
    if not file:
        return False
    place = Path(str(file)).resolve()
    found_in = [entry for entry in map(Path, sys.path) if place.is_relative_to(entry.resolve())]
    return place.is_relative_to(folder) and all(folder.is_relative_to(entry.resolve()) for entry in found_in)
