"""Models that attend by code of their own, in padded batches; and the controls.

Windows go in, sorted by length and batched by tokens; the hidden states of their scored inputs come
out, from which `head` makes logits. Padding stands on the right and is masked. Unlike on the packed
path, results may differ in the last bits between batches, which is why the batches are a function
of the texts and the tracked params alone.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from lmcore.models.random_logits import random_logits
from lmcore.scoring.halves import Halves, without_cache
from lmcore.scoring.plan import Window, batches

MAX_LOGITS = 2**26  # floats that whole logits may take, 256 MiB; a longer text is run alone


class Padded:
    """A model in padded batches: in halves, or whole where it cannot be cut."""

    kind = "padded"

    def __init__(self, model: Any, halves: Halves | None, of_one_length: bool):
        """`of_one_length`: only texts of the same length share a batch, since what the model says
        of a position depends on the longest.
        """
        self.model, self.halves, self.of_one_length = model, halves, of_one_length
        self.head: Callable[[torch.Tensor], torch.Tensor] = halves.logits if halves else _same

    def batches(self, windows: list[Window], token_budget: int) -> Iterator[list[Window]]:
        if self.halves is None:
            token_budget = min(token_budget, MAX_LOGITS // self.model.config.vocab_size)
        return batches(windows, token_budget, self.of_one_length)

    def hidden(self, batch: list[Window], draw: int = 0) -> torch.Tensor:
        """What `head` reads (n, H) of the `n_states` inputs of each window from `first` on, window by window."""
        ids, mask, scored = (x.to(self.model.device) for x in pad(batch))
        if self.halves is not None:
            return self.halves.states(input_ids=ids, attention_mask=mask)[scored]
        return self.model(input_ids=ids, attention_mask=mask, **without_cache(self.model)).logits[
            scored
        ]


class Control:
    """The dummy or the unigram, without transformers, whose import takes longer than they do."""

    kind = "control"

    def __init__(self, path: Path, config: dict, device: str):
        self.config, self.device, self.head = config, device, _same
        self.row: torch.Tensor | None = None
        if config["model_type"] == "lmcore_unigram":
            self.row = load_file(path / "model.safetensors", device)["logits"]

    def batches(self, windows: list[Window], token_budget: int) -> Iterator[list[Window]]:
        return batches(windows, min(token_budget, MAX_LOGITS // self.config["vocab_size"]))

    def hidden(self, batch: list[Window], draw: int = 0) -> torch.Tensor:
        """The logits (n, V) of each window's inputs from `first` on; `draw`: which seed's."""
        ids, mask, scored = (x.to(self.device) for x in pad(batch))
        return self.logits(ids, mask, draw)[scored]

    def logits(self, ids: torch.Tensor, mask: torch.Tensor, draw: int) -> torch.Tensor:
        """Logits (B, T, V) of ids (B, T), where mask (B, T) is 1."""
        if self.row is not None:
            return self.row.expand(*ids.shape, -1)
        seed = self.config.get("seeds", [0])[draw]
        return random_logits(ids, mask, seed, self.config["vocab_size"])


def pad(batch: list[Window]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """ids (B, T), which of them are a text's (B, T) int64, and which are scored (B, T) bool."""
    longest = max(len(window.inputs) for window in batch)
    rows = [np.pad(window.inputs, (0, longest - len(window.inputs))) for window in batch]
    place = torch.arange(longest)
    mask = place < torch.tensor([[len(window.inputs)] for window in batch])
    first, n_states = (
        torch.tensor([[getattr(window, name)] for window in batch])
        for name in ("first", "n_states")
    )
    scored = (place >= first) & (place < first + n_states)
    return torch.from_numpy(np.stack(rows).astype(np.int64)), mask.long(), scored


def _same(rows: torch.Tensor) -> torch.Tensor:
    return rows
