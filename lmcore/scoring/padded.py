"""The padded forward, for models that attend by their own code; and the controls.

`Pass`es go in, as in the packed forward. The texts of a pass run in batches, sorted by length.
Padding stands on the right and is masked. What comes out has one row for each node, so logits and
statistics are computed once for each unique prefix.

Unlike in the packed forward, results may differ in the last bits between batches. That is why the
batches depend only on the texts and the tracked params.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from lmcore.models.random_logits import hash_prefixes, logits_of
from lmcore.scoring.halves import Halves, without_cache
from lmcore.scoring.plan import Pass

# floats that whole logits may take, 256 MiB; a longer text is run alone
MAX_LOGITS = 2**26
BATCHES = 16  # how many batches of `token_budget` tokens a pass has: enough to sort texts by length
SMALL = 256  # tokens; no batch is cut at so many or fewer because of its padding
MAX_PADDING = 1 / 16  # of the tokens of a larger batch


class Padded:
    """A model in padded batches: in halves, or whole if it cannot be cut."""

    kind = "padded"

    def __init__(
        self, model: Any, halves: Halves | None, token_budget: int, of_one_length: bool = False
    ):
        """Take a model, and its halves if it can be cut.

        A batch has at most `token_budget` tokens with padding, but at least one text.
        `of_one_length`: only texts of the same length share a batch, and no two texts share a row.
        This is for models whose result at a position depends on the longest text.
        """
        self.model, self.halves = model, halves
        self.token_budget, self.of_one_length = token_budget, of_one_length
        self.head: Callable[[torch.Tensor], torch.Tensor] = halves.logits if halves else _same

    @property
    def pass_budget(self) -> int:
        """How many nodes a pass has at most, but at least one text."""
        budget = BATCHES * self.token_budget
        return budget if self.halves else min(budget, MAX_LOGITS // self.model.config.vocab_size)

    def hidden(self, one_pass: Pass) -> torch.Tensor:
        """What `head` reads, one row for each node of a pass.

        The rows are hidden states (N, H), or logits (N, V) if the model is whole.
        """
        rows: torch.Tensor | None = None
        for paths in batches(one_pass.paths, self.token_budget, self.of_one_length):
            ids, mask = pad([one_pass.ids[path] for path in paths], self.model.device)
            computed = self._run(ids, mask)[mask.bool()]
            # A node on several paths is taken from the first of them
            nodes, places = np.unique(np.concatenate(paths), return_index=True)
            if rows is None:
                rows = computed.new_empty(len(one_pass.ids), computed.shape[-1])
            rows[torch.from_numpy(nodes)] = computed[torch.from_numpy(places)]
        assert rows is not None
        return rows

    def _run(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Hidden states (B, T, H), or logits (B, T, V), of ids (B, T)."""
        if self.halves is not None:
            return self.halves.states(input_ids=ids, attention_mask=mask)
        options = without_cache(self.model)
        return self.model(input_ids=ids, attention_mask=mask, **options).logits


class Control:
    """The dummy or the unigram model.

    It does without transformers, whose import takes longer than the control itself.
    """

    kind = "control"

    def __init__(self, path: Path, config: dict, device: str):
        self.config, self.device = config, device
        self.row: torch.Tensor | None = None  # (V,) the unigram's logits
        if config["model_type"] == "lmcore_unigram":
            self.row = load_file(path / "model.safetensors", device)["logits"]

    def hidden(self, one_pass: Pass, draw: int = 0) -> torch.Tensor:
        """The hashes (N,) of the prefixes that end in the nodes of a pass, from which `head` makes
        logits. `draw` is the number of the seed.
        """
        hashes = torch.empty(len(one_pass.ids), dtype=torch.int64, device=self.device)
        seed = self.config.get("seeds", [0])[draw]
        ids, mask = pad([one_pass.ids[path] for path in one_pass.paths], self.device)
        nodes = torch.from_numpy(np.concatenate(one_pass.paths)).to(self.device)
        hashes[nodes] = hash_prefixes(ids, mask, seed)[mask.bool()]
        return hashes

    def head(self, hashes: torch.Tensor) -> torch.Tensor:
        """The logits (n, V) of hashed prefixes (n,)."""
        if self.row is not None:
            return self.row.repeat(len(hashes), 1)  # `statistics` overwrites it
        return logits_of(hashes, self.config["vocab_size"])


def batches(
    paths: list[np.ndarray], token_budget: int, of_one_length: bool = False
) -> Iterator[list[np.ndarray]]:
    """Different paths, sorted by length, in batches.

    A batch has at most `token_budget` tokens with padding, but at least one path. Padding is at
    most MAX_PADDING of a batch, unless the batch is SMALL. With `of_one_length`, it has none.
    """
    # A node stands for its whole path, so paths with the same last node are the same
    different = {int(path[-1]): path for path in paths}
    batch: list[np.ndarray] = []
    n_tokens = 0  # of the batch, without padding
    for path in sorted(different.values(), key=len):
        padded = (len(batch) + 1) * len(path)
        is_full = padded > token_budget
        is_loose = padded > SMALL and padded - n_tokens - len(path) > MAX_PADDING * padded
        if batch and (is_full or is_loose or (of_one_length and len(path) > len(batch[0]))):
            yield batch
            batch, n_tokens = [], 0
        batch.append(path)
        n_tokens += len(path)
    if batch:
        yield batch


def pad(texts: list[np.ndarray], device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor]:
    """The ids (B, T) int64 of texts, and a mask (B, T) int64, 0 where padding stands."""
    lengths = torch.tensor([[len(text)] for text in texts])
    longest = int(lengths.max())
    rows = [np.pad(text, (0, longest - len(text))) for text in texts]
    mask = torch.arange(longest) < lengths
    return torch.from_numpy(np.stack(rows)).to(device), mask.long().to(device)


def _same(rows: torch.Tensor) -> torch.Tensor:
    return rows
