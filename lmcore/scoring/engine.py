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
from lmcore.models.load import context_length, is_control, read_config
from lmcore.scoring import kernels, native
from lmcore.scoring.forward import PackedLlama
from lmcore.scoring.forward_native import NativeLlama
from lmcore.scoring.llama import LlamaWeights, can_run
from lmcore.scoring.own import OwnForward
from lmcore.scoring.plan import Window, passes, windows
from lmcore.scoring.stats import CHUNK_ROWS, reader, statistics
from lmcore.scoring.texts import Text, TextEncoder, word_beginnings
from lmcore.scoring.writer import token_table
from lmcore.tables import ITEM_KEY, ITEMS, check, scoring_of

DTYPES = ("float32", "bfloat16")


class Engine:
    """A model made ready to score; `name` says with which forward, dtype and kernel."""

    def __init__(
        self,
        model: Path,
        scoring: dict,
        dtype: str,
        token_budget: int,
        share_prefixes: bool = True,
        chunk_rows: int = CHUNK_ROWS,
        kernel: str | None = None,
    ):
        """`kernel`: one of lmcore.scoring.kernels, by default the one it chooses. Raises InputError for a folder that is no model, or
        options out of range.
        """
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
        self.config, self.dtype, self.kernel = config, dtype, kernel or kernels.choose()
        self.name = engine_name(config, dtype, self.kernel)
        self.n_draws = len(config.get("seeds", [0]))  # the dummy's
        self.packed: PackedLlama | NativeLlama | None = None
        self.is_loaded = False
        self.long_texts: dict[tuple, Text] = {}

    def load(self) -> "Engine":
        """Read the weights, where it has not been done; `score` does it too."""
        if not self.is_loaded:
            with torch.inference_mode():
                if can_run(self.config):
                    weights = LlamaWeights(self.model, self.config)
                    self.packed = (
                        NativeLlama(weights, self.dtype, self.window)
                        if self.kernel == "amx"
                        else PackedLlama(weights, self.dtype, self.kernel, self.window)
                    )
                    weights.files.refuse_leftovers()
                else:
                    self.own = OwnForward(self.model, self.config, self.dtype, kernels.device_of(self.kernel))
            self.is_loaded = True
        return self

    def count_windows(self, items: pa.Table) -> int:
        """How many windows the one text of `items` has; its tokens are remembered for `score`."""
        (text,) = self.encoder.encode(items)
        self.long_texts[_key(items)] = text
        return len(windows([text], self.window, self.stride, self.bow))

    def score(self, items: pa.Table, part: int = 0, n_parts: int = 1) -> pa.Table:
        """The TOKENS rows of an items table that is sorted by its key; or the rows of a part of its only text, by windows.

        Raises InputError naming the item for a token that the model does not know or a result that is not finite.
        """
        self.load()
        known = self.long_texts.get(_key(items)) if len(items) == 1 else None
        texts = [known] if known else self.encoder.encode(items)
        every = windows(texts, self.window, self.stride, self.bow)
        chosen = every[part * len(every) // n_parts : (part + 1) * len(every) // n_parts]
        first, last = chosen[0].row, chosen[-1].row + len(chosen[-1].targets)
        draws = []
        with torch.inference_mode():
            for draw in range(self.n_draws):
                columns: dict[str, np.ndarray] = {}
                for rows, values in self._passes(self.packed, chosen) if self.packed else self._batches(chosen, draw):
                    for name, column in values.items():
                        columns.setdefault(name, np.empty((last - first, *column.shape[1:]), column.dtype))[rows - first] = column
                draws.append(columns)
        return token_table(items, texts, draws, self.model, first, last)

    def _passes(self, model: PackedLlama | NativeLlama, parts: list[Window]):
        for part in passes(parts, self.token_budget, self.share_prefixes):
            hidden = model.hidden(part)
            values, masses = self._statistics(model.head, hidden, part.pair_nodes, part.pair_next)
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
        read = native.summarise if self.kernel == "amx" else reader(kernels.device_of(self.kernel))
        begins = None if self.begins is None else self.begins.to(hidden.device)
        return statistics(head, hidden, nodes, next_ids, self.top_k, begins, self.chunk_rows, read)

    def _columns(self, values: dict, masses: np.ndarray, pairs: np.ndarray, before: np.ndarray, after: np.ndarray) -> dict[str, np.ndarray]:
        columns = {name: column[pairs] for name, column in values.items()}
        return columns | {"bow_logprob": masses[before], "next_bow_logprob": masses[after]} if self.bow else columns


def score_items(model: Path, items: pa.Table, dtype: str = "float32", token_budget: int = 1024, **options) -> pa.Table:
    """The TOKENS table of `items` (an items_table) by the model in the folder `model`; `options` as in Engine."""
    check(items, ITEMS)
    return Engine(Path(model), scoring_of(items), dtype, token_budget, **options).score(items)


def engine_name(config: dict, dtype: str, kernel: str | None = None) -> str:
    """Forward, dtype, kernel and instruction set: what decides the last bits of the results, found without loading the weights."""
    kernel = kernel or kernels.choose()
    forward = "packed-llama" if can_run(config) else "control" if is_control(config) else "transformers"
    device = torch.cuda.get_device_name() if kernel == "cuda" else f"cpu {torch.backends.cpu.get_cpu_capability()}"
    return f"{forward} {kernel} {dtype} {device}"


def _key(items: pa.Table) -> tuple:
    return tuple(items[name][0].as_py() for name in ITEM_KEY)


def _whole(scoring: dict, name: str, default: int, least: int, most: int) -> int:
    """The whole number `name` of the scoring options. Raises InputError out of its range."""
    value = scoring.get(name, default)
    if not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"scoring '{name}' must be a whole number from {least} to {most}, not {value!r}")
    return value
