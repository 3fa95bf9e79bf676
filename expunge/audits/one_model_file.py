"""The margins of one model out of a file: weights for the suite's network, or the margins themselves."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float
from numpy import ndarray
from safetensors import SafetensorError
from torch import Tensor

from expunge.audits.one_model import Looked, look
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.margins import require_finite
from expunge.ensembles.origin import Origin
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import read_margins
from expunge.errors import BadData, BadMargins, BadSetting
from expunge.number_files import read_array
from expunge.records import SPLITS, SplitName
from expunge.suites import ForgetSet, Suite

WEIGHTS = (".pt", ".pth", ".safetensors")
HELD = ("state_dict", "model_state_dict", "model")  # where checkpoints keep the weights
BEGINS = (b"P", b"\x80")  # a .pt: a zip, or the pickle of before
PARALLEL = "module."  # what DataParallel puts before every name


def look_at_file(suite: Suite, forget: ForgetSet, file: Path) -> dict[SplitName, Looked]:
    """Look at the model of ``file`` on each split, among all oracles and pretrained models of the suite."""
    model = model_margins(suite, file)
    oracles = read_margins(Plan(suite, "oracle", forget), 0, suite.models).values
    pretrained = read_margins(Plan(suite, "pretrained"), 0, suite.models).values
    columns = suite.columns(forget)
    return {
        split: look(model[columns[split]], oracles[:, columns[split]], pretrained[:, columns[split]])
        for split in SPLITS
    }


def model_margins(suite: Suite, file: Path) -> Float[ndarray, " examples"]:
    """The margins of one model on all examples, train then test.

    Args:
        suite: the suite whose network it is.
        file: a ``.pt``, ``.pth`` or ``.safetensors`` with the state dict, or a ``.npy`` of its margins.
    """
    if file.is_dir():
        raise BadData(f"{file} is a folder; expected a model, {', '.join(WEIGHTS)}, or margins, .npy; name the file")
    if not file.is_file():
        raise BadData(f"there is no file {file}; expected a model, {', '.join(WEIGHTS)}, or margins, .npy")
    if file.suffix.lower() == ".npy":
        values = np.atleast_2d(read_array(file, BadMargins, kinds="f"))
        if values.shape != (1, suite.data.width):
            raise BadMargins(
                f"{file}: expected the margins of one model, ({suite.data.width},), train then test; got "
                f"{values.shape}; for several models: expunge score"
            )
    elif file.suffix.lower() in WEIGHTS:
        values = _measured(suite, _state(file), file)
    else:
        raise BadData(f"{file}: expected a model, {', '.join(WEIGHTS)}, or margins, .npy")
    require_finite(values, str(file))
    margins: ndarray = values[0]
    return margins


def _measured(suite: Suite, state: Mapping[str, Tensor], file: Path) -> Float[ndarray, "1 examples"]:
    network = suite.network()
    _require_fit(state, network.state_dict(), file)
    origin = Origin(suite.address, suite.digest, "unlearned", None, (0,))
    stacked = {name: tensor[None] for name, tensor in state.items()}
    ensemble = Ensemble.from_state(network, stacked, origin, suite.data.train.x.shape[1:]).eval()
    return ensemble.margins(suite.data)


def _require_fit(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], file: Path) -> None:
    """Refuse the weights of another network, and say which names or shapes do not fit."""
    told = [
        *(f"it lacks {name}" for name in wanted if name not in state),
        *(f"the network has no {name}" for name in state if name not in wanted),
        *(
            f"{name} is {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in state and state[name].shape != tensor.shape
        ),
    ]
    if told:
        more = f", and {len(told) - 3} more" if len(told) > 3 else ""
        raise BadSetting(f"{file} does not fit the suite's network: {'; '.join(told[:3])}{more}")


def _state(file: Path) -> dict[str, Tensor]:
    held = _loaded(file)
    for name in HELD:
        if isinstance(held, Mapping) and isinstance(held.get(name), Mapping):
            held = held[name]
    if not isinstance(held, Mapping) or not held or not all(isinstance(each, Tensor) for each in held.values()):
        raise BadData(f"{file}: expected a state dict; save torch.save(model.state_dict(), file)")
    parallel = all(name.startswith(PARALLEL) for name in held)
    return {name.removeprefix(PARALLEL) if parallel else name: tensor for name, tensor in held.items()}


def _loaded(file: Path) -> Any:
    if file.suffix.lower() == ".safetensors":
        try:
            return safetensors.torch.load_file(file)
        except SafetensorError:
            raise BadData(f"{file} is no .safetensors that can be read; was it downloaded whole?") from None
    unread = BadData(f"{file} is no .pt that can be read; was it downloaded whole?")
    with file.open("rb") as stream:
        if stream.read(1) not in BEGINS:
            raise unread
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise BadData(
            f"{file} holds more than numbers: reading it would run code; save torch.save(model.state_dict(), file)"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError):
        raise unread from None
