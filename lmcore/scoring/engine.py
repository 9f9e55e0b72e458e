"""The engine in one process: a model folder and a table of items go in, the token table comes out.

`scoring` (the metadata of the items file) says what the suite wants: `bos` (see texts.py; default prefix); `window` and `stride`, how many
tokens the model sees at once (at most its context) and by how many it moves on in a text that is longer (default: as many as it sees);
`top_k`, which adds `top_ids` and `top_logprobs`; `bow`, which adds `bow_logprob` and `next_bow_logprob`, the log mass of word-beginning
tokens before and after each token.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from lmcore.errors import InputError
from lmcore.models.load import read_config
from lmcore.scoring import kernels
from lmcore.scoring.forward import PackedLlama, can_run
from lmcore.scoring.plan import Window, passes, windows
from lmcore.scoring.stats import CHUNK_ROWS, statistics
from lmcore.scoring.texts import TextEncoder, word_beginnings
from lmcore.scoring.writer import token_table
from lmcore.tables import ITEMS, check, scoring_of

DTYPES = ("float32", "bfloat16")


class Engine:
    """A model made ready to score; `name` says with which forward, dtype and kernel."""

    def __init__(
        self, model: Path, scoring: dict, dtype: str, token_budget: int, share_prefixes: bool = True, chunk_rows: int = CHUNK_ROWS
    ):
        """Raises InputError for a folder that is no model, or options out of range."""
        config = read_config(model)
        if dtype not in DTYPES:
            raise InputError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype!r}")
        if token_budget < 1:
            raise InputError(f"token_budget must be at least 1, not {token_budget}")
        self.model, self.token_budget, self.share_prefixes, self.chunk_rows = model, token_budget, share_prefixes, chunk_rows
        self.top_k, self.bow = _whole(scoring, "top_k", 0, 0, config["vocab_size"]), bool(scoring.get("bow", False))
        self.window = _whole(scoring, "window", context_length(config), 1 + self.bow, context_length(config))
        self.stride = _whole(scoring, "stride", self.window, 1, self.window)
        self.encoder = TextEncoder(model, config["vocab_size"], scoring.get("bos", "prefix"), model)
        self.begins = torch.from_numpy(word_beginnings(self.encoder.tokenizer, config["vocab_size"])) if self.bow else None
        self.name = engine_name(config, dtype)
        self.n_draws = 1
        with torch.inference_mode():
            if can_run(config):
                self.packed: PackedLlama | None = PackedLlama(model, config, dtype, kernels.choose(), self.window)
            else:
                from lmcore.scoring.own import OwnForward  # imports transformers, which plain Llama does without

                self.packed, self.own = None, OwnForward(model, dtype)
                self.n_draws = self.own.n_draws

    def score(self, items: pa.Table) -> pa.Table:
        """The TOKENS rows of an items table that is sorted by its key.

        Raises InputError naming the item for a token that the model does not know or a result that is not finite.
        """
        texts = self.encoder.encode(items)
        parts = windows(texts, self.window, self.stride, self.bow)
        draws = []
        with torch.inference_mode():
            for draw in range(self.n_draws):
                columns: dict[str, np.ndarray] = {}
                for rows, values in self._passes(parts) if self.packed else self._batches(parts, draw):
                    for name, column in values.items():
                        n_rows = parts[-1].row + len(parts[-1].targets)
                        columns.setdefault(name, np.empty((n_rows, *column.shape[1:]), column.dtype))[rows] = column
                draws.append(columns)
        return token_table(items, texts, draws, self.model)

    def _passes(self, parts: list[Window]):
        for part in passes(parts, self.token_budget, self.share_prefixes):
            hidden = self.packed.hidden(part)
            values, masses = self._statistics(self.packed.head, hidden, part.pair_nodes, part.pair_next)
            yield part.rows, self._columns(values, masses, part.row_pairs, part.pair_nodes[part.row_pairs], part.row_after)

    def _batches(self, parts: list[Window], draw: int):
        for batch, logits in self.own.logits(parts, self.token_budget, draw):
            offsets = np.cumsum([0] + [len(window.inputs) - window.first for window in batch])
            nodes = np.concatenate([offset + np.arange(len(window.targets)) for offset, window in zip(offsets, batch)])
            rows = np.concatenate([window.row + np.arange(len(window.targets)) for window in batch])
            values, masses = self._statistics(
                lambda x: x, logits, nodes, np.concatenate([window.targets for window in batch]).astype(np.int64)
            )
            yield rows, self._columns(values, masses, np.arange(len(nodes)), nodes, nodes + self.bow)

    def _statistics(self, head, hidden, nodes, next_ids):
        return statistics(head, hidden, nodes, next_ids, self.top_k, self.begins, self.chunk_rows)

    def _columns(self, values: dict, masses: np.ndarray, pairs: np.ndarray, before: np.ndarray, after: np.ndarray) -> dict[str, np.ndarray]:
        columns = {name: column[pairs] for name, column in values.items()}
        return columns | {"bow_logprob": masses[before], "next_bow_logprob": masses[after]} if self.bow else columns


def score_items(model: Path, items: pa.Table, dtype: str = "float32", token_budget: int = 1024, **options) -> pa.Table:
    """The TOKENS table of `items` (an items_table) by the model in the folder `model`; `options` as in Engine."""
    check(items, ITEMS)
    return Engine(Path(model), scoring_of(items), dtype, token_budget, **options).score(items)


def engine_name(config: dict, dtype: str) -> str:
    """Forward, dtype, kernel and instruction set: what decides the last bits of the results, found without loading the weights."""
    forward = f"packed-llama {kernels.choose()}" if can_run(config) else "transformers"
    return f"{forward} {dtype} cpu {torch.backends.cpu.get_cpu_capability()}"


def context_length(config: dict) -> int:
    """How many tokens the model sees at once, as lm-eval finds it in a config."""
    return next((config[name] for name in ("n_positions", "max_position_embeddings", "n_ctx") if config.get(name)), 2048)


def _whole(scoring: dict, name: str, default: int, least: int, most: int) -> int:
    """The whole number `name` of the scoring options. Raises InputError out of its range."""
    value = scoring.get(name, default)
    if not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"scoring '{name}' must be a whole number from {least} to {most}, not {value!r}")
    return value
