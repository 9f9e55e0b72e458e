"""The padded forward, for models that attend by their own code; and the controls.

Windows go in, sorted by length and batched by tokens. The hidden states of their scored inputs come
out, from which `head` makes logits. Padding stands on the right and is masked.

Unlike in the packed forward, results may differ in the last bits between batches. That is why the
batches depend only on the texts and the tracked params.
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

# floats that whole logits may take, 256 MiB; a longer text is run alone
MAX_LOGITS = 2**26


class Padded:
    """A model in padded batches: in halves, or whole if it cannot be cut."""

    kind = "padded"

    def __init__(self, model: Any, halves: Halves | None, of_one_length: bool):
        """Take a model, and its halves if it can be cut.

        `of_one_length`: only texts of the same length share a batch. This is for models whose
        result at a position depends on the longest text.
        """
        self.model, self.halves, self.of_one_length = model, halves, of_one_length
        self.head: Callable[[torch.Tensor], torch.Tensor] = halves.logits if halves else _same

    def batches(self, windows: list[Window], token_budget: int) -> Iterator[list[Window]]:
        """The batches in which the windows run, of at most `token_budget` tokens each."""
        if self.halves is None:
            token_budget = min(token_budget, MAX_LOGITS // self.model.config.vocab_size)
        return batches(windows, token_budget, self.of_one_length)

    def hidden(self, batch: list[Window], draw: int = 0) -> torch.Tensor:
        """What `head` reads, window by window: one row for each scored input.

        The scored inputs of a window are `n_states` inputs from `first` on. The rows are hidden
        states (n, H), or logits (n, V) if the model is whole.
        """
        ids, mask, scored = (x.to(self.model.device) for x in pad(batch))
        if self.halves is not None:
            return self.halves.states(input_ids=ids, attention_mask=mask)[scored]
        options = without_cache(self.model)
        return self.model(input_ids=ids, attention_mask=mask, **options).logits[scored]


class Control:
    """The dummy or the unigram model.

    It does without transformers, whose import takes longer than the control itself.
    """

    kind = "control"

    def __init__(self, path: Path, config: dict, device: str):
        self.config, self.device, self.head = config, device, _same
        self.row: torch.Tensor | None = None  # (V,) the unigram's logits
        if config["model_type"] == "lmcore_unigram":
            self.row = load_file(path / "model.safetensors", device)["logits"]

    def batches(self, windows: list[Window], token_budget: int) -> Iterator[list[Window]]:
        """The batches in which the windows run, of at most `token_budget` tokens each."""
        return batches(windows, min(token_budget, MAX_LOGITS // self.config["vocab_size"]))

    def hidden(self, batch: list[Window], draw: int = 0) -> torch.Tensor:
        """The logits (n, V) of the scored inputs of each window.

        `draw` is the number of the seed.
        """
        ids, mask, scored = (x.to(self.device) for x in pad(batch))
        return self.logits(ids, mask, draw)[scored]

    def logits(self, ids: torch.Tensor, mask: torch.Tensor, draw: int) -> torch.Tensor:
        """Logits (B, T, V) of ids (B, T).

        Where mask (B, T) is 0, the logits mean nothing.
        """
        if self.row is not None:
            return self.row.expand(*ids.shape, -1)
        seed = self.config.get("seeds", [0])[draw]
        return random_logits(ids, mask, seed, self.config["vocab_size"])


def pad(batch: list[Window]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The ids of a batch, the mask of its texts, and the mask of its scored inputs.

    ids: (B, T) int64; mask: (B, T) int64, 1 where an id is a text's and not padding; scored: (B, T)
    bool.
    """
    longest = max(len(window.inputs) for window in batch)
    rows = [np.pad(window.inputs, (0, longest - len(window.inputs))) for window in batch]
    place = torch.arange(longest)
    mask = place < torch.tensor([[len(window.inputs)] for window in batch])
    first = torch.tensor([[window.first] for window in batch])
    n_states = torch.tensor([[window.n_states] for window in batch])
    scored = (place >= first) & (place < first + n_states)
    return torch.from_numpy(np.stack(rows).astype(np.int64)), mask.long(), scored


def _same(rows: torch.Tensor) -> torch.Tensor:
    return rows
