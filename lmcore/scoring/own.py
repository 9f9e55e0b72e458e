"""Any other model through its own forward, in length-sorted padded batches: always right, never the reason a model cannot be used.

Windows go in, the logits of their scored inputs come out. Padding stands on the right and is masked. Unlike on the packed path, results may
differ in the last bits between batches, which is why the batches are a function of the texts and the tracked params alone.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from lmcore.models.load import is_control, load_model
from lmcore.models.random_logits import random_logits
from lmcore.scoring.plan import Window, batches

MAX_LOGITS = 2**26  # floats a batch's logits may take, 256 MiB; a single longer text is run whole
Forward = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]  # ids (B, T), mask (B, T), draw -> logits (B, T, V)


class OwnForward:
    """A causal LM of transformers, or a control."""

    def __init__(self, path: Path, config: dict, dtype: str, device: str):
        self.vocab_size, self.device = config["vocab_size"], device
        self.forward = _control(path, config, device) if is_control(config) else _transformers(path, dtype, device)

    def logits(self, windows: list[Window], token_budget: int, draw: int) -> Iterator[tuple[list[Window], torch.Tensor]]:
        """Per batch its windows and the logits (n, V) of their inputs from `first` on, window by window.

        `draw` is which of the dummy's seeds is meant. Raises InputError where the model cannot run.
        """
        for batch in batches(windows, min(token_budget, MAX_LOGITS // self.vocab_size)):
            longest = len(batch[-1].inputs)
            ids = torch.from_numpy(
                np.stack([np.pad(window.inputs, (0, longest - len(window.inputs))) for window in batch]).astype(np.int64)
            )
            mask = torch.arange(longest) < torch.tensor([len(window.inputs) for window in batch])[:, None]
            logits = self.forward(ids.to(self.device), mask.long().to(self.device), draw)
            mask &= torch.arange(longest) >= torch.tensor([window.first for window in batch])[:, None]
            yield batch, logits[mask.to(self.device)]


def _transformers(path: Path, dtype: str, device: str) -> Forward:
    model = load_model(path, dtype).to(device)
    return lambda ids, mask, draw: model(input_ids=ids, attention_mask=mask, use_cache=False).logits


def _control(path: Path, config: dict, device: str) -> Forward:
    """What the dummy and the unigram compute, without transformers, whose import takes longer than they do."""
    if config["model_type"] == "lmcore_dummy":
        seeds = config.get("seeds", [0])
        return lambda ids, mask, draw: random_logits(ids, mask, seeds[draw], config["vocab_size"])
    row = load_file(path / "model.safetensors", device)["logits"]
    return lambda ids, mask, draw: row.expand(*ids.shape, -1)
