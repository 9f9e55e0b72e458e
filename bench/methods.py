"""Four ways to score the same texts: a notebook's loop, minicons, lm-eval, and ours.

Each takes rows of an items table and scores all of their tokens. The results are computed, but
thrown away.

The peers get what their users would give them: one process, torch's own number of threads, float32,
and evaluation mode.
"""

import csv
import io
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pyarrow as pa

from bench.suites import is_running_text
from lmcore.models.folder import holds_masked
from lmcore.scoring.engine import Engine
from lmcore.scoring.extract import score_shards
from lmcore.scoring.shards import shards
from lmcore.text.encoder import TextEncoder

PREFIX = "prefix"
# The batch sizes that a method tries; the fastest is taken
BATCHES = {
    "minicons": (16, 32),
    "minicons_rank": (16, 32),
    "lm_eval": (1, 8, 16, 32, 64),
}
LONG_BATCHES = {"minicons": (1, 4), "minicons_rank": (1, 4), "lm_eval": (1, 4)}  # of windows


class Method(Protocol):
    """A way to score texts."""

    def score(self, items: pa.Table, batch: int) -> None:
        """Score all tokens of the texts in `items`, `batch` texts at a time."""


class Peer:
    """A transformers model with its tokenizer.

    Texts longer than the window are cut into windows beforehand.
    """

    def __init__(self, model: Path, window: int):
        from lmcore.models.load import load_any, load_tokenizer

        self.path = model
        self.model, self.tokenizer = load_any(model), load_tokenizer(model)
        self.is_masked = holds_masked(model)
        self.encoder = TextEncoder(model, 10**9, PREFIX, model, self.is_masked)
        # how many tokens fit beside the BOS, or beside the special tokens of a masked LM
        self.room = window - 1 - self.is_masked

    def cut(self, items: pa.Table) -> list[tuple[str, str]]:
        """(context, target) of each row; a long text is cut into stretches of a window."""
        contexts, targets = items["context"].to_pylist(), items["target"].to_pylist()
        pairs = []
        for context, target, text in zip(contexts, targets, self.encoder.encode(items)):
            if len(text.ends) <= self.room:
                pairs.append((context, target))
                continue
            edges = [0, *text.ends[self.room - 1 : -1 : self.room].tolist(), len(target)]
            pairs += [("", target[start:end]) for start, end in pairwise(edges)]
        return pairs


class Notebook(Peer):
    """What a notebook does: one sentence a forward pass, a Python loop over its tokens, a CSV."""

    def score(self, items: pa.Table, batch: int) -> None:
        """As in `Method`; the batch is always one text."""
        import torch

        writer = csv.writer(io.StringIO())
        with torch.inference_mode():
            for context, target in self.cut(items):
                ids = self.tokenizer(context + target, add_special_tokens=False).input_ids
                logits = self.model(torch.tensor([[self.encoder.prefix_id, *ids]])).logits[0]
                logprobs = torch.log_softmax(logits, -1)
                for row, token in zip(logprobs, ids):
                    writer.writerow([self.tokenizer.decode([token]), *_statistics(row, token)])


def _statistics(row: Any, token: int) -> list[float]:
    """Log-prob, entropy, rank, top token and its log-prob, as a notebook computes them.

    `row` is a torch.Tensor of shape (V,) with log-probs.
    """
    entropy = -(row.exp() * row).sum().item()
    rank = int((row > row[token]).sum()) + 1
    return [row[token].item(), entropy, rank, row.argmax().item(), row.max().item()]


class Minicons(Peer):
    """The token_score of minicons, with or without ranks."""

    def __init__(self, model: Path, window: int, rank: bool):
        super().__init__(model, window)
        from minicons.scorer import IncrementalLMScorer

        self.scorer = IncrementalLMScorer(self.model, "cpu", tokenizer=self.tokenizer)
        self.rank = rank

    def score(self, items: pa.Table, batch: int) -> None:
        """As in `Method`."""
        texts = [context + target for context, target in self.cut(items)]
        for start in range(0, len(texts), batch):
            self.scorer.token_score(texts[start : start + batch], rank=self.rank, bos_token=True)


class MaskedNotebook(Peer):
    """A masked LM in a loop.

    Each token of a target takes one forward pass over the text in which it is masked. The later
    tokens of its word are masked, too.
    """

    def score(self, items: pa.Table, batch: int) -> None:
        """As in `Method`; the batch is always one text."""
        import torch

        writer = csv.writer(io.StringIO())
        with torch.inference_mode():
            for context, target in self.cut(items):
                encoding = self.tokenizer(context + target, return_tensors="pt")
                words = encoding.word_ids()
                for place in range(1, len(words) - 1):
                    if encoding.token_to_chars(place).end <= len(context):
                        continue
                    later = range(place, len(words))
                    masked = [other for other in later if words[other] == words[place]]
                    ids = encoding.input_ids.clone()
                    ids[0, masked] = self.tokenizer.mask_token_id
                    row = torch.log_softmax(self.model(ids).logits[0, place], -1)
                    token = int(encoding.input_ids[0, place])
                    writer.writerow([token, *_statistics(row, token)])


class MaskedMinicons(Peer):
    """The token_score of minicons for masked LMs, with or without ranks.

    For texts with a context it is conditional_score, which has no ranks.
    """

    def __init__(self, model: Path, window: int, rank: bool):
        super().__init__(model, window)
        from minicons.scorer import MaskedLMScorer

        self.scorer = MaskedLMScorer(self.model, "cpu", tokenizer=self.tokenizer)
        self.rank = rank
        # minicons 0.3.39 encodes texts by this name, which transformers 5 has dropped
        self.tokenizer.batch_encode_plus = self.tokenizer.__call__

    def score(self, items: pa.Table, batch: int) -> None:
        """As in `Method`."""
        pairs = self.cut(items)
        for start in range(0, len(pairs), batch):
            contexts, targets = zip(*pairs[start : start + batch], strict=True)
            if all(contexts):
                stripped = [target.removeprefix(" ") for target in targets]
                self.scorer.conditional_score(
                    list(contexts), stripped, PLL_metric="within_word_l2r"
                )
            else:
                self.scorer.token_score(list(targets), rank=self.rank, PLL_metric="within_word_l2r")


class LmEval(Peer):
    """The loglikelihood of lm-eval, or for running text its loglikelihood_rolling."""

    def __init__(self, model: Path, window: int):
        super().__init__(model, window)
        from lm_eval.models.huggingface import HFLM

        self.lm = HFLM(
            pretrained=self.model,
            tokenizer=self.tokenizer,
            device="cpu",
            batch_size=1,
            max_length=window,
        )

    def score(self, items: pa.Table, batch: int) -> None:
        """As in `Method`."""
        from lm_eval.api.instance import Instance

        self.lm.batch_size_per_gpu = batch
        pairs = list(zip(items["context"].to_pylist(), items["target"].to_pylist()))
        if is_running_text(items):
            requests = [Instance("loglikelihood_rolling", {}, (target,), 0) for _, target in pairs]
            self.lm.loglikelihood_rolling(requests, disable_tqdm=True)
        else:
            requests = [Instance("loglikelihood", {}, pair, 0) for pair in pairs]
            self.lm.loglikelihood(requests, disable_tqdm=True)


class Ours:
    """Our engine: all five statistics of every token, in Parquet files."""

    def __init__(
        self,
        model: Path,
        scoring: dict,
        token_budget: int,
        shard_chars: int,
        kernel: str | None = None,
    ):
        self.engine = Engine(model, scoring, "float32", token_budget, kernel=kernel).load()
        self.shard_chars = shard_chars

    def score(self, items: pa.Table, batch: int) -> None:
        """As in `Method`; the engine chooses its batches itself."""
        self.engine.long_texts.clear()
        with TemporaryDirectory() as folder:
            jobs = []
            for number, shard in enumerate(shards(items, self.shard_chars, self.engine)):
                jobs.append((shard, Path(folder) / f"{number}.parquet"))
            score_shards(self.engine, items, jobs, "ours")


def make(name: str, model: Path, window: int, scoring: dict, params: dict) -> Method:
    """The method called `name`, with its model loaded.

    `params` holds token_budget and shard_chars of ours. `ours_KERNEL` is ours through one kernel.
    """
    if name.startswith("ours"):
        return Ours(model, scoring, **params, kernel=name.partition("_")[2] or None)
    if name == "lm_eval":
        return LmEval(model, window)
    masked = holds_masked(model)
    if name == "notebook":
        return (MaskedNotebook if masked else Notebook)(model, window)
    return (MaskedMinicons if masked else Minicons)(model, window, rank=name == "minicons_rank")
