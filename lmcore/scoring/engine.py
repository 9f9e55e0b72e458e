"""The engine in one process: a model folder and a table of items go in, the token table comes out.

`scoring` (the metadata of the items file) says what the suite wants: `bos` (see texts.py; default prefix); `window` and `stride`, how many
tokens the model sees at once (at most its context) and by how many it moves on in a text that is longer (default: as many as it sees);
`top_k`, which adds `top_ids` and `top_logprobs`; `bow`, which adds `bow_logprob` and `next_bow_logprob`, the log mass of word-beginning
tokens before and after each token; `masked`, how masked LMs mask a token: `within_word_l2r` (the default; what follows in its word is
masked with it) or `original` (it alone). What they say of a token where it is masked is its row, of the tokens of targets alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from lmcore.errors import InputError
from lmcore.models.config import context_length
from lmcore.models.folder import is_masked, read_config
from lmcore.scoring import kernels
from lmcore.scoring.guard import Forward, open_model
from lmcore.scoring.packed import Packed
from lmcore.scoring.padded import Control, Padded
from lmcore.scoring.plan import Pass, Window, masked_passes, masked_windows, passes, windows
from lmcore.scoring.stats import CHUNK_ROWS, reader, statistics
from lmcore.scoring.writer import token_table
from lmcore.tables import ITEM_KEY, ITEMS, check, scoring_of
from lmcore.text.encoder import Text, TextEncoder, find_mask_id, word_beginnings

DTYPES = ("float32", "bfloat16")
WAYS = ("within_word_l2r", "original")  # to mask a token


class Planned(NamedTuple):
    """What there is to compute for some items: `work` of passes, or of batches; the output rows first..last."""

    texts: list[Text]
    work: list
    first: int
    last: int


class Engine:
    """A model made ready to score; `name` says with which forward, dtype and kernel."""

    def __init__(
        self,
        model: Path,
        scoring: dict,
        dtype: str,
        token_budget: int,
        share_prefixes: bool = True,
        chunk_rows: int | None = None,
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
        self.model, self.token_budget, self.share_prefixes = model, token_budget, share_prefixes
        self.top_k, self.bow = (
            _whole(scoring, "top_k", 0, 0, config["vocab_size"]),
            bool(scoring.get("bow", False)),
        )
        self.is_masked, self.way = is_masked(config), scoring.get("masked", WAYS[0])
        if self.way not in WAYS:
            raise InputError(f"scoring 'masked' must be one of {', '.join(WAYS)}, not {self.way!r}")
        if self.is_masked and self.bow:
            raise InputError(
                f"{model}: scoring 'bow' (--corrected) is of causal LMs; a masked LM does not say where a word ends"
            )
        self.window = _whole(
            scoring, "window", context_length(config), 1 + self.bow, context_length(config)
        )
        self.stride = _whole(scoring, "stride", self.window, 1, self.window)
        self.encoder = TextEncoder(
            model, config["vocab_size"], scoring.get("bos", "prefix"), model, self.is_masked
        )
        self.mask_id = find_mask_id(model) if self.is_masked else -1
        self.begins = (
            torch.from_numpy(word_beginnings(self.encoder.tokenizer, config["vocab_size"]))
            if self.bow
            else None
        )
        self.config, self.dtype, self.kernel = config, dtype, kernel or kernels.choose()
        self.chunk_rows = chunk_rows or CHUNK_ROWS[kernels.device_of(self.kernel)]
        self.name = engine_name(dtype, self.kernel)
        self.n_draws = len(config.get("seeds", [0]))  # the dummy's
        self.forward: Forward | None = None
        self.long_texts: dict[tuple, Text] = {}

    def load(self) -> "Engine":
        """Read the weights, where it has not been done; `score` does it too. Now `name` begins with
        the forward that scores the model, and ends with why it is not the packed one.
        """
        if self.forward is None:
            with torch.inference_mode():
                self.forward, reason = open_model(self.model, self.config, self.dtype, self.kernel)
            kind = f"{self.forward.kind} masked" if self.is_masked else self.forward.kind
            self.name = f"{kind} {self.name}" + (f": {reason}" if reason else "")
        return self

    def count_windows(self, items: pa.Table) -> int:
        """How many windows the one text of `items` has; its tokens are remembered for `score`."""
        (text,) = self.encoder.encode(items)
        self.long_texts[_key(items)] = text
        return len(self.windows([text]))

    def score(self, items: pa.Table, part: int = 0, n_parts: int = 1) -> pa.Table:
        """The TOKENS rows of an items table that is sorted by its key; or the rows of a part of its only text, by windows.

        Raises InputError naming the item for a token that the model does not know or a result that is not finite.
        """
        planned = self.plan(items, part, n_parts)
        return self.table(items, planned, self.run(planned))

    def plan(self, items: pa.Table, part: int = 0, n_parts: int = 1) -> Planned:
        """What there is to compute, on the host alone; the arguments and errors are those of `score`."""
        self.load()
        known = self.long_texts.get(_key(items)) if len(items) == 1 else None
        texts = [known] if known else self.encoder.encode(items)
        every = self.windows(texts)
        chosen = every[part * len(every) // n_parts : (part + 1) * len(every) // n_parts]
        first, last = chosen[0].row, chosen[-1].row + len(chosen[-1].targets)
        if isinstance(self.forward, Packed):
            return Planned(texts, list(self.passes(chosen)), first, last)
        assert self.forward is not None
        return Planned(texts, list(self.forward.batches(chosen, self.token_budget)), first, last)

    def run(self, planned: Planned) -> list[dict[str, np.ndarray]]:
        """The columns of statistics of each draw."""
        with torch.inference_mode(), self._enough_memory():
            return [self._draw(planned, draw) for draw in range(self.n_draws)]

    def table(
        self, items: pa.Table, planned: Planned, draws: list[dict[str, np.ndarray]]
    ) -> pa.Table:
        """The TOKENS rows of what has been computed."""
        return token_table(items, planned.texts, draws, self.model, planned.first, planned.last)

    def windows(self, texts: list[Text]) -> list[Window]:
        """What the model sees of these texts, and which rows it gives."""
        if self.is_masked:
            return masked_windows(texts, self.window, self.stride, self.mask_id, self.way)
        return windows(texts, self.window, self.stride, self.bow)

    def passes(self, parts: list[Window]) -> Iterator[Pass]:
        """The passes of the packed forward over these windows."""
        if self.is_masked:
            return masked_passes(parts, self.token_budget)
        return passes(parts, self.token_budget, self.share_prefixes)

    def _draw(self, planned: Planned, draw: int) -> dict[str, np.ndarray]:
        """The columns of statistics of output rows first..last."""
        columns: dict[str, np.ndarray] = {}
        for work in planned.work:
            rows, values = (
                self._of_pass(work) if isinstance(work, Pass) else self._of_batch(work, draw)
            )
            for name, column in values.items():
                empty = np.empty((planned.last - planned.first, *column.shape[1:]), column.dtype)
                columns.setdefault(name, empty)[rows - planned.first] = column
        return columns

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            is_full = isinstance(error, MemoryError | torch.OutOfMemoryError)
            if not is_full and "allocate memory" not in str(error):
                raise
            name, other = (
                ("gpu_token_budget", "")
                if self.kernel == "cuda"
                else ("token_budget", ", or LMCORE_WORKERS")
            )
            advice = f"lower {name}, which is {self.token_budget}{other}"
            raise InputError(f"{self.model}: out of memory; {advice}") from error

    def _of_pass(self, part: Pass) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Row numbers, and their columns of statistics."""
        assert isinstance(self.forward, Packed)
        states = self.forward.hidden(part)
        values, masses = self._statistics(
            self.forward.head, states, part.pair_nodes, part.pair_next
        )
        nodes = part.pair_nodes[part.row_pairs]
        return part.rows, self._columns(values, masses, part.row_pairs, nodes, part.row_after)

    def _of_batch(self, batch: list[Window], draw: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        assert isinstance(self.forward, Padded | Control)
        states = self.forward.hidden(batch, draw)
        offsets = np.cumsum([0] + [window.n_states for window in batch])
        counts = [np.arange(len(window.targets)) for window in batch]
        nodes = np.concatenate([offset + count for offset, count in zip(offsets, counts)])
        rows = np.concatenate([window.row + count for window, count in zip(batch, counts)])
        next_ids = np.concatenate([window.targets for window in batch]).astype(np.int64)
        values, masses = self._statistics(self.forward.head, states, nodes, next_ids)
        pairs = np.arange(len(nodes))
        return rows, self._columns(values, masses, pairs, nodes, nodes + self.bow)

    def _statistics(self, head, states, nodes, next_ids):
        read = reader(kernels.device_of(self.kernel))
        begins = None if self.begins is None else self.begins.to(states.device)
        return statistics(head, states, nodes, next_ids, self.top_k, begins, self.chunk_rows, read)

    def _columns(
        self,
        values: dict,
        masses: np.ndarray,
        pairs: np.ndarray,
        before: np.ndarray,
        after: np.ndarray,
    ) -> dict[str, np.ndarray]:
        columns = {name: column[pairs] for name, column in values.items()}
        return (
            columns | {"bow_logprob": masses[before], "next_bow_logprob": masses[after]}
            if self.bow
            else columns
        )


def score_items(
    model: Path, items: pa.Table, dtype: str = "float32", token_budget: int = 1024, **options
) -> pa.Table:
    """The TOKENS table of `items` (an items_table) by the model in the folder `model`; `options` as in Engine."""
    check(items, ITEMS)
    return Engine(Path(model), scoring_of(items), dtype, token_budget, **options).score(items)


def engine_name(dtype: str, kernel: str | None = None) -> str:
    """Kernel, dtype and instruction set: with the model and the versions of the code, what decides
    the last bits of the results and which forward scores the model; found without its weights.
    """
    kernel = kernel or kernels.choose()
    device = (
        torch.cuda.get_device_name()
        if kernel == "cuda"
        else f"cpu {torch.backends.cpu.get_cpu_capability()}"
    )
    return f"{kernel} {dtype} {device}"


def _key(items: pa.Table) -> tuple:
    return tuple(items[name][0].as_py() for name in ITEM_KEY)


def _whole(scoring: dict, name: str, default: int, least: int, most: int) -> int:
    """The whole number `name` of the scoring options. Raises InputError out of its range."""
    value = scoring.get(name, default)
    if not isinstance(value, int) or not least <= value <= most:
        raise InputError(
            f"scoring '{name}' must be a whole number from {least} to {most}, not {value!r}"
        )
    return value
