"""What a killed training goes on from: a folder with `state.safetensors` (weights, optimiser, curve), `best.safetensors` and kept steps.

Each file appears whole or not at all. A run is a function of its inputs, so a file that is ahead of the state is only written again.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from lmcore.errors import InputError
from lmcore.files import whole

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save_weights(model: torch.nn.Module, path: Path) -> None:
    """The weights alone; tied ones once."""
    _write({name: parameter.detach() for name, parameter in model.named_parameters()}, path, {})


def load_weights(model: torch.nn.Module, path: Path) -> None:
    for name, tensor in load_file(path).items():
        model.get_parameter(name).data.copy_(tensor)


def save_state(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: dict) -> None:
    """Everything the next step depends on; `progress` is JSON. Raises InputError where it cannot be written."""
    tensors = {f"model.{name}": parameter.detach() for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        tensors |= {f"adam.{key}.{name}": optimizer.state[parameter][key] for key in MOMENTS if parameter in optimizer.state}
    _write(tensors, folder / "state.safetensors", {"progress": json.dumps(progress)})


def resume(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, kept: list[Path]) -> dict | None:
    """The progress so far, with model and optimiser set to where the state was; None where there is none, or of `kept` one is missing."""
    path = folder / "state.safetensors"
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
        if not all(needed.exists() for needed in kept if int(needed.stem.removeprefix("step_")) <= progress["step"]):
            return None
        moments = {name.split(".", 2)[2] for name in file.keys() if name.startswith("adam.step.")}  # noqa: SIM118
        for name, parameter in model.named_parameters():
            parameter.data.copy_(file.get_tensor(f"model.{name}"))
            if name in moments:
                state = {key: file.get_tensor(f"adam.{key}.{name}").to(parameter.device) for key in MOMENTS}
                optimizer.state[parameter] = state
    return progress


def step_path(folder: Path, step: int) -> Path:
    """Where the weights of a step are kept."""
    return folder / f"step_{step:06d}.safetensors"


def _write(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    try:
        with whole(path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata)
    except SafetensorError as error:
        raise InputError(f"{path.name} of the training cannot be written: {error}; the last good checkpoint is kept") from error
