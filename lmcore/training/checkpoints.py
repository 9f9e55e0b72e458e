"""What a killed training goes on from: a folder with the last state (weights, optimiser, curve) and the weights of some steps.

Each file is kept with its hash (lmcore.kept_files). A run is a function of its inputs, so weights
of a step that is ahead of the state are only written again.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lmcore.errors import InputError, error_line
from lmcore.kept_files import drop, find, keep, kept_paths

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save_weights(model: torch.nn.Module, folder: Path, step: int) -> None:
    """Keep the weights alone; tied ones once."""
    _keep(
        {name: parameter.detach() for name, parameter in model.named_parameters()},
        step_path(folder, step),
        {},
    )


def load_weights(model: torch.nn.Module, folder: Path, step: int) -> None:
    """Set the model to what was kept of a step. Raises InputError where that is no longer what was written."""
    path = step_path(folder, step)
    if (kept := find(path)) is None:
        raise InputError(
            f"{path}: there are no good weights of step {step}; run again to train anew"
        )
    for name, tensor in load_file(kept).items():
        model.get_parameter(name).data.copy_(tensor)


def save_state(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: dict
) -> None:
    """Keep everything the next step depends on, and no earlier state; `progress` is JSON with `step`.

    Raises InputError where it cannot be written.
    """
    tensors = {f"model.{name}": parameter.detach() for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        tensors |= {
            f"adam.{key}.{name}": optimizer.state[parameter][key]
            for key in MOMENTS
            if parameter in optimizer.state
        }
    path = folder / f"state_{progress['step']:06d}.safetensors"
    _keep(tensors, path, {"progress": json.dumps(progress)})
    for other in kept_paths(folder, "state_*.safetensors"):
        if other != path:
            drop(other)


def resume(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    keep_steps: Iterable[int],
) -> dict | None:
    """The progress so far, with model and optimiser set to where the state was.

    None where there is no good state, or the weights of its best step or of one of `keep_steps` are missing.
    """
    states = [find(path) for path in reversed(kept_paths(folder, "state_*.safetensors"))]
    if not (good := [state for state in states if state]):
        return None
    with safe_open(good[0], framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
        needed = {step for step in keep_steps if step <= progress["step"]} | {
            best_step(progress["curve"])
        }
        if not all(find(step_path(folder, step)) for step in sorted(needed)):
            return None
        moments = {name.split(".", 2)[2] for name in file.keys() if name.startswith("adam.step.")}  # noqa: SIM118
        for name, parameter in model.named_parameters():
            parameter.data.copy_(file.get_tensor(f"model.{name}"))
            if name in moments:
                state = {
                    key: file.get_tensor(f"adam.{key}.{name}").to(parameter.device)
                    for key in MOMENTS
                }
                optimizer.state[parameter] = state
    return progress


def drop_steps(folder: Path, needed: Iterable[int]) -> None:
    """Remove the weights of all steps but those that are `needed`."""
    wanted = {step_path(folder, step) for step in needed}
    for path in kept_paths(folder, "step_*.safetensors"):
        if path not in wanted:
            drop(path)


def best_step(curve: list[dict]) -> int:
    """The step of the lowest dev loss, the first of equal ones."""
    return min(curve, key=lambda row: row["dev_loss"])["step"]


def step_path(folder: Path, step: int) -> Path:
    """As what the weights of a step are kept."""
    return folder / f"step_{step:06d}.safetensors"


def _keep(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    try:
        keep(
            path,
            lambda temporary: save_file(
                {name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata
            ),
        )
    except OSError as error:
        raise InputError(
            f"{error_line(error)}; the last good checkpoint is kept, and a later run goes on from it"
        ) from error
