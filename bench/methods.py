"""Four ways to score the same texts: a notebook's loop, minicons, lm-eval, and ours. Each takes rows of an items table and scores all of
their tokens; what it returns is thrown away, but computed.

The peers get what their users would give them: one process, torch's own number of threads, float32, evaluation mode.
"""

import csv
import io
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from bench.suites import is_running_text
from lmcore.models.folder import holds_masked
from lmcore.scoring.engine import Engine
from lmcore.scoring.extract import score_shards, shards
from lmcore.text.encoder import TextEncoder

PREFIX = "prefix"


class Peer:
    """A transformers model with its tokenizer; texts longer than the window are cut into windows beforehand."""

    def __init__(self, model: Path, window: int):
        from lmcore.models.folder import holds_masked
        from lmcore.models.load import load_any, load_tokenizer

        self.path = model
        self.model, self.tokenizer = load_any(model), load_tokenizer(model)
        self.is_masked = holds_masked(model)
        self.encoder = TextEncoder(model, 10**9, PREFIX, model, self.is_masked)
        self.room = (
            window - 1 - self.is_masked
        )  # for tokens, beside the BOS, or the specials of a masked LM

    def cut(self, items: pa.Table) -> list[tuple[str, str]]:
        """(context, target) of each row, a long text in stretches of a window."""
        pairs = []
        for context, target, text in zip(
            items["context"].to_pylist(), items["target"].to_pylist(), self.encoder.encode(items)
        ):
            if len(text.ends) <= self.room:
                pairs.append((context, target))
                continue
            edges = [0, *text.ends[self.room - 1 : -1 : self.room].tolist(), len(target)]
            pairs += [("", target[start:end]) for start, end in pairwise(edges)]
        return pairs


class Notebook(Peer):
    """One sentence a forward pass, a Python loop over its tokens, a CSV: what a notebook does."""

    def score(self, items: pa.Table, batch: int) -> None:
        import torch

        writer = csv.writer(io.StringIO())
        with torch.inference_mode():
            for context, target in self.cut(items):
                ids = self.tokenizer(context + target, add_special_tokens=False).input_ids
                logits = self.model(torch.tensor([[self.encoder.prefix_id, *ids]])).logits[0]
                logprobs = torch.log_softmax(logits, -1)
                for row, token in zip(logprobs, ids):
                    entropy = -(row.exp() * row).sum().item()
                    rank = int((row > row[token]).sum()) + 1
                    writer.writerow(
                        [
                            self.tokenizer.decode([token]),
                            row[token].item(),
                            entropy,
                            rank,
                            row.argmax().item(),
                            row.max().item(),
                        ]
                    )


class Minicons(Peer):
    """Its token_score, with or without ranks."""

    def __init__(self, model: Path, window: int, rank: bool):
        super().__init__(model, window)
        from minicons.scorer import IncrementalLMScorer

        self.scorer, self.rank = (
            IncrementalLMScorer(self.model, "cpu", tokenizer=self.tokenizer),
            rank,
        )

    def score(self, items: pa.Table, batch: int) -> None:
        texts = [context + target for context, target in self.cut(items)]
        for start in range(0, len(texts), batch):
            self.scorer.token_score(texts[start : start + batch], rank=self.rank, bos_token=True)


class MaskedNotebook(Peer):
    """A masked LM in a loop: one forward pass for each token of a target, over the text in which it is masked."""

    def score(self, items: pa.Table, batch: int) -> None:
        import torch

        writer = csv.writer(io.StringIO())
        with torch.inference_mode():
            for context, target in self.cut(items):
                encoding = self.tokenizer(context + target, return_tensors="pt")
                words = encoding.word_ids()
                for place in range(1, len(words) - 1):
                    if encoding.token_to_chars(place).end <= len(context):
                        continue
                    ids = encoding.input_ids.clone()
                    ids[
                        0,
                        [
                            later
                            for later in range(place, len(words))
                            if words[later] == words[place]
                        ],
                    ] = self.tokenizer.mask_token_id
                    row = torch.log_softmax(self.model(ids).logits[0, place], -1)
                    token = int(encoding.input_ids[0, place])
                    entropy = -(row.exp() * row).sum().item()
                    rank = int((row > row[token]).sum()) + 1
                    writer.writerow(
                        [
                            token,
                            row[token].item(),
                            entropy,
                            rank,
                            row.argmax().item(),
                            row.max().item(),
                        ]
                    )


class MaskedMinicons(Peer):
    """Its token_score, with or without ranks; of texts with a context its conditional_score, which has no ranks."""

    def __init__(self, model: Path, window: int, rank: bool):
        super().__init__(model, window)
        from minicons.scorer import MaskedLMScorer

        self.scorer, self.rank = MaskedLMScorer(self.model, "cpu", tokenizer=self.tokenizer), rank
        # by this name minicons 0.3.39 encodes texts, and transformers 5 has dropped it
        self.tokenizer.batch_encode_plus = self.tokenizer.__call__

    def score(self, items: pa.Table, batch: int) -> None:
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
    """Its loglikelihood, or for running text its loglikelihood_rolling."""

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
        from lm_eval.api.instance import Instance

        self.lm.batch_size_per_gpu = batch
        pairs = list(zip(items["context"].to_pylist(), items["target"].to_pylist()))
        if is_running_text(items):
            self.lm.loglikelihood_rolling(
                [Instance("loglikelihood_rolling", {}, (target,), 0) for _, target in pairs],
                disable_tqdm=True,
            )
        else:
            self.lm.loglikelihood(
                [Instance("loglikelihood", {}, pair, 0) for pair in pairs], disable_tqdm=True
            )


class Ours:
    """All five statistics of every token, in Parquet files."""

    def __init__(
        self,
        model: Path,
        scoring: dict,
        token_budget: int,
        shard_chars: int,
        kernel: str | None = None,
        dtype: str = "float32",
    ):
        self.engine = Engine(model, scoring, dtype, token_budget, kernel=kernel).load()
        self.shard_chars = shard_chars

    def score(self, items: pa.Table, batch: int) -> None:
        self.engine.long_texts.clear()
        with TemporaryDirectory() as folder:
            jobs = [
                (shard, Path(folder) / f"{number}.parquet")
                for number, shard in enumerate(shards(items, self.shard_chars, self.engine))
            ]
            score_shards(self.engine, items, jobs, "ours")


BATCHES = {
    "minicons": (16, 32),
    "minicons_rank": (16, 32),
    "lm_eval": (1, 8, 16, 32, 64),
}  # each tries these and takes the fastest
LONG_BATCHES = {"minicons": (1, 4), "minicons_rank": (1, 4), "lm_eval": (1, 4)}  # of windows


def make(name: str, model: Path, window: int, scoring: dict, params: dict):
    """The method called `name`, its model loaded; `params`: token_budget and shard_chars of ours."""
    if name.startswith("ours"):
        return Ours(model, scoring, **params, kernel=name.partition("_")[2] or None)
    if name == "lm_eval":
        return LmEval(model, window)
    masked = holds_masked(model)
    if name == "notebook":
        return (MaskedNotebook if masked else Notebook)(model, window)
    return (MaskedMinicons if masked else Minicons)(model, window, rank=name == "minicons_rank")
