"""The model that is in use, as a file of tensors."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from expunge.errors import BadData
from expunge.files import write_file
from expunge.number_files import readable, tensor_shapes
from expunge.outside import first_line


def read_model(file: Path) -> dict[str, Tensor]:
    """The state dict in a ``.safetensors``; :class:`~expunge.errors.BadData` where it is none."""
    tensor_shapes(file, BadData)
    try:
        with readable(file, "a .safetensors", BadData), safe_open(file, framework="pt") as held:
            return {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise BadData(f"{file} is no .safetensors ({first_line(error)}); was it handed over whole?") from None


def write_model(file: Path, model: nn.Module) -> None:
    """The state dict of a model as :func:`read_model` reads it."""
    write_file(file, save({name: tensor.contiguous() for name, tensor in model.state_dict().items()}))
