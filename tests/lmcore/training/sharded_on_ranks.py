"""What test_sharded starts under torchrun: trainings of models that are split over two ranks.

`FOLDER/NAME` gets the weights and the curve of each, and what each rank held of it.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor

from lmcore.models.shapes import new_model
from lmcore.training import llama_pass, loop, ranks
from lmcore.training.objective import Teachers
from lmcore.training.schedule import schedule
from lmcore.training.settings import Settings
from tests.lmcore.training.test_loop import GROWTH, MUON, OPTIONS, SHAPE, splits_of

TIED = {**SHAPE, "tie_word_embeddings": True}
GPT2 = {"model_type": "gpt2", "n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": 16}
# the last batch of an epoch (the sixth step) has one row: the second rank has none
COMMON = {"epochs": None, "steps": 7, "eval_every": 3, "warmup_steps": 2}
# the second of two ranks has one pass less over the three dev examples
PASSES = {"micro_batch_size": 1, "dev_limit": 3, "keep": "best"}
CASES: dict[str, tuple[dict, dict]] = {
    "adamw": (SHAPE, PASSES),
    "muon": (TIED, {**MUON, "seq_len_warmup": GROWTH}),
    "gpt2": (GPT2, {**PASSES, **MUON, "precision": "bf16", "random_offset": True}),
    "bf16": (SHAPE, {"precision": "bf16"}),
    "taught": (TIED, {}),
}
SAME_KERNELS = ("bf16", "taught")
STOPPED = (TIED, {**MUON, **PASSES})
KEPT = 4


class Trainings:
    """Trainings in one folder."""

    def __init__(self, tokenizer: Path, chunks: Path, folder: Path):
        self.tokenizer, self.chunks, self.folder = tokenizer, np.load(chunks), folder

    def train(self, name: str, shape: dict, options: dict, sharded: bool = True) -> None:
        """Train a model, and write what it ends in."""
        model, made = new_model(shape, self.tokenizer, 0), []
        teachers = None
        if name.startswith("taught"):
            teachers = Teachers([new_model(SHAPE, self.tokenizer, 1)], 0.5, 2.0, "token")
        settings = Settings(**{**OPTIONS, **COMMON, **options, "sharded": sharded})
        splits, out = splits_of(self.chunks), self.folder / name
        make_optimizer = loop.make_optimizer
        loop.make_optimizer = lambda *arguments: made.append(make_optimizer(*arguments)) or made[0]
        curve = loop.train(model, splits, out / "work", settings, [KEPT], teachers)
        loop.make_optimizer = make_optimizer
        (out / f"rank{ranks.rank()}.json").write_text(json.dumps(_n_held(made[0])))
        if ranks.is_first():
            weights = {key: weight.detach() for key, weight in model.named_parameters()}
            save_file(weights, out / "weights.safetensors")
            (out / "curve.json").write_text(json.dumps(curve))

    def train_until(self, step: int, name: str, shape: dict, options: dict) -> None:
        """Train a split model, and stop all ranks as `step` begins."""

        def stops(now: int, *arguments) -> float:
            if now == step:
                raise KeyboardInterrupt
            return schedule(now, *arguments)

        loop.schedule, make_optimizer = stops, loop.make_optimizer
        try:
            self.train(name, shape, options)
        except KeyboardInterrupt:
            loop.schedule, loop.make_optimizer = schedule, make_optimizer

    def train_until_killed(self, name: str, shape: dict, options: dict) -> None:
        """Train a split model; rank 1 is killed as step 6 begins, unless torchrun came again."""

        def dies(step: int, *arguments) -> float:
            is_first_attempt = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
            if step == 6 and ranks.rank() == 1 and is_first_attempt:
                os.kill(os.getpid(), signal.SIGKILL)
            return schedule(step, *arguments)

        loop.schedule = dies
        self.train(name, shape, options)


def _n_held(optimizer: torch.optim.Optimizer) -> dict[str, int]:
    """How many numbers of the weights and of the optimiser's state this rank has in memory."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    states = [value for state in optimizer.state.values() for value in state.values()]
    held = {"weights": weights, "state": [value for value in states if value.ndim]}
    return {name: sum(map(_n_stored, tensors)) for name, tensors in held.items()}


def _n_stored(tensor: torch.Tensor) -> int:
    """The numbers in the storage of a tensor, or in that of this rank's share."""
    local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return local.untyped_storage().nbytes() // local.element_size()


def main(tokenizer: Path, chunks: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    ranks.join()
    ranks.leave = dist.barrier  # the ranks go on together
    trainings = Trainings(tokenizer, chunks, folder)
    if "killed" in sys.argv:
        trainings.train_until_killed("killed", *STOPPED)
        return
    trainings.train_until(6, "stopped", *STOPPED)
    trainings.train("stopped", *STOPPED)
    trainings.train("undisturbed", *STOPPED)
    trainings.train_until(5, "by_turns", *CASES["adamw"])
    trainings.train("by_turns", *CASES["adamw"], sharded=False)
    can_run = llama_pass.can_run
    for name, (shape, options) in CASES.items():
        trainings.train(name, shape, options)
        llama_pass.can_run = (lambda model: False) if name in SAME_KERNELS else can_run
        trainings.train(f"{name}_whole", shape, options, sharded=False)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
