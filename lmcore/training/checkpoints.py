"""What a killed training goes on from: the last state, and the weights of some steps.

A folder holds the last state (weights, optimiser, curve) and the weights of some steps. Each file
is kept with its hash (lmcore.kept_files). A run is a function of its inputs: where weights of a
step are there that the state has not reached yet, they are only written again.

The first of several ranks writes, and all of them read. Tensors that are split over the ranks are
gathered, so the files are the same as those of a model that is not split; then all ranks must call
`save_weights` and `save_state`.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lmcore.errors import InputError, error_line
from lmcore.kept_files import drop, find, keep, kept_paths
from lmcore.training import ranks
from lmcore.training.shares import is_split, split_as, whole


def save_weights(model: torch.nn.Module, folder: Path, step: int) -> None:
    """Keep the weights alone; tied ones once."""
    weights = _gathered(dict(model.named_parameters()))
    if ranks.rank() == 0:
        _keep(weights, step_path(folder, step), {})


def load_weights(model: torch.nn.Module, folder: Path, step: int) -> None:
    """Set the model to the weights that were kept of a step.

    Raises InputError where the file is missing or no longer what was written.
    """
    path = step_path(folder, step)
    if (kept := find(path)) is None:
        raise InputError(
            f"{path}: the weights of step {step} are missing or damaged; run again to train anew"
        )
    with safe_open(kept, framework="pt") as file:
        names = file.keys()
        for name in names:
            model.get_parameter(name).data.copy_(file.get_tensor(name))


def save_state(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: dict
) -> None:
    """Keep everything that the next step depends on, and drop earlier states.

    `progress` is JSON with the key `step`. Raises InputError where the state cannot be written.
    """
    tensors = {f"model.{name}": parameter for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    gathered = _gathered(tensors)
    if ranks.rank() != 0:
        return
    path = folder / f"state_{progress['step']:06d}.safetensors"
    _keep(gathered, path, {"progress": json.dumps(progress)})
    for other in kept_paths(folder, "state_*.safetensors"):
        if other != path:
            drop(other)


def resume(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    keep_steps: Iterable[int],
    best: Callable[[list[dict]], int] | None = None,
) -> dict | None:
    """Set model and optimiser to the last state, and return the progress so far.

    `best` gives the best step of a curve; by default it is `best_step`. None where there is no good
    state, or where the weights of its best step or of one of `keep_steps` are missing.
    """
    states = [find(path) for path in reversed(kept_paths(folder, "state_*.safetensors"))]
    last_state = next((state for state in states if state), None)
    if last_state is None:
        return None
    with safe_open(last_state, framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
        needed = {step for step in keep_steps if step <= progress["step"]}
        if progress["curve"]:
            needed.add((best or best_step)(progress["curve"]))
        if not all(find(step_path(folder, step)) for step in sorted(needed)):
            return None
        _load_state(file, model, optimizer)
    return progress


def _load_state(file, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Set model and optimiser to the tensors of an open safetensors file."""
    parameters = dict(model.named_parameters())
    names = file.keys()
    for full_name in names:
        kind, _, rest = full_name.partition(".")
        if kind == "model":
            parameter = parameters[rest].detach()
            parameter.copy_(split_as(parameter, file.get_tensor(full_name)))
        else:
            key, _, name = rest.partition(".")
            value = split_as(parameters[name].detach(), file.get_tensor(full_name))
            optimizer.state[parameters[name]][key] = value


def _gathered(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The whole tensors, for the first rank. The others get none, since nothing needs theirs."""
    gathered = {}
    for name, tensor in tensors.items():
        all_of_it = whole(tensor)
        if ranks.rank() == 0:
            # what was gathered leaves the GPU at once
            gathered[name] = all_of_it.cpu() if is_split(tensor) else all_of_it
    return gathered


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
    """The path under which the weights of a step are kept (lmcore.kept_files adds the hash)."""
    return folder / f"step_{step:06d}.safetensors"


def _keep(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Keep tensors as a safetensors file. Raises InputError where it cannot be written."""

    def write(temporary: Path) -> None:
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata)

    try:
        keep(path, write)
    except OSError as error:
        raise InputError(
            f"{error_line(error)}; "
            "the last good checkpoint is kept, and a later run goes on from it"
        ) from error
