"""Any causal LM of transformers through its own forward, in length-sorted padded batches: always right, never the reason a model cannot be
used.

Windows go in, the logits of their scored inputs come out. Padding stands on the right and is masked. Unlike on the packed path, results may
differ in the last bits between batches, which is why the batches are a function of the texts and the tracked params alone.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from lmcore.models.load import load_model
from lmcore.scoring.plan import Window, batches

MAX_LOGITS = 2**26  # floats a batch's logits may take, 256 MiB; a single longer text is run whole


class OwnForward:
    """A transformers model."""

    def __init__(self, path: Path, dtype: str, device: str):
        self.model, self.device = load_model(path, dtype).to(device), device

    def logits(self, windows: list[Window], token_budget: int, draw: int) -> Iterator[tuple[list[Window], torch.Tensor]]:
        """Per batch its windows and the logits (n, V) of their inputs from `first` on, window by window.

        `draw` is which of the dummy's seeds is meant. Raises InputError where the model cannot run.
        """
        if hasattr(self.model, "draw"):
            self.model.draw = draw
        vocab_size = self.model.config.get_text_config().vocab_size
        for batch in batches(windows, min(token_budget, MAX_LOGITS // vocab_size)):
            longest = len(batch[-1].inputs)
            ids = torch.from_numpy(
                np.stack([np.pad(window.inputs, (0, longest - len(window.inputs))) for window in batch]).astype(np.int64)
            )
            mask = torch.arange(longest) < torch.tensor([len(window.inputs) for window in batch])[:, None]
            logits = self.model(input_ids=ids.to(self.device), attention_mask=mask.long().to(self.device), use_cache=False).logits
            mask &= torch.arange(longest) >= torch.tensor([window.first for window in batch])[:, None]
            yield batch, logits[mask.to(self.device)]
