"""The engine in one process: a model folder and a table of items go in, the token table comes out.

`scoring` (the metadata of the items file) says what the suite wants:

- `bos`: what stands before the first token, see lmcore.text.encoder; by default `prefix`.
- `window` and `stride`: how many tokens the model sees at once, at most its context; and by how
  many tokens it moves on in a longer text, by default as many as it sees.
- `top_k` adds `top_ids` and `top_logprobs`.
- `bow` adds `bow_logprob` and `next_bow_logprob`, the log mass of word-beginning tokens before and
  after each token.
- `tokenisation`: `separate` tokenises context and target apart, see lmcore.text.separate; by
  default they are tokenised together.
- `masked`: how masked LMs mask a token. With `within_word_l2r` (the default), the tokens that
  follow in its word are masked with it; with `original`, only the token itself. The row of a token
  holds what the model says about it where it is masked. For masked LMs, only the tokens of targets
  have rows.
"""

import copy
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
from lmcore.scoring.padded import Control, Padded
from lmcore.scoring.plan import Pass, Window, masked_passes, masked_windows, passes, windows
from lmcore.scoring.stats import CHUNK_ROWS, reader, statistics
from lmcore.scoring.writer import token_table
from lmcore.tables import ITEM_KEY
from lmcore.text.encoder import Text, find_mask_id, word_beginnings
from lmcore.text.separate import encoder_of

DTYPES = ("float32", "bfloat16")
WAYS = ("within_word_l2r", "original")  # to mask a token


class Planned(NamedTuple):
    """What there is to compute for some items. The output rows are first..last."""

    texts: list[Text]
    passes: list[Pass]
    first: int
    last: int


class _Once:
    """Opens a model when it is first called, and gives the same forward from then on."""

    def __init__(self, *arguments):
        """`arguments` are those of lmcore.scoring.guard.open_model."""
        self.arguments = arguments
        self.opened: tuple[Forward, str] | None = None

    def __call__(self) -> tuple[Forward, str]:
        if self.opened is None:
            with torch.inference_mode():
                self.opened = open_model(*self.arguments)
        return self.opened


class Engine:
    """A model made ready to score. `name` says with which forward, dtype and kernel.

    Engines of the same model for other suites (`for_suite`) share its weights.
    """

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
        """Read a model's config and tokenizer, but not yet its weights.

        `kernel` is one of lmcore.scoring.kernels, by default the one that it chooses. Raises
        InputError for a folder that holds no model, and for options out of range.
        """
        config = read_config(model)
        if dtype not in DTYPES:
            raise InputError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype!r}")
        if token_budget < 1:
            raise InputError(f"token_budget must be at least 1, not {token_budget}")
        self.model, self.config, self.dtype = model, config, dtype
        self.token_budget, self.share_prefixes = token_budget, share_prefixes
        self.is_masked = is_masked(config)
        self.mask_id = find_mask_id(model) if self.is_masked else -1
        self.kernel = kernel or kernels.choose()
        self.chunk_rows = chunk_rows or CHUNK_ROWS[kernels.device_of(self.kernel)]
        self.name = engine_name(dtype, self.kernel)
        self.n_draws = len(config.get("seeds", [0]))  # only the dummy has several
        self.forward: Forward | None = None
        self._open = _Once(model, config, dtype, self.kernel, token_budget)
        self._set_scoring(scoring)

    def for_suite(self, scoring: dict) -> "Engine":
        """An engine of the same model for a suite that wants `scoring`.

        Raises InputError for options out of range.
        """
        engine = copy.copy(self)
        engine._set_scoring(scoring)
        return engine

    def _set_scoring(self, scoring: dict) -> None:
        """Take over what the suite wants. Raises InputError for options out of range."""
        vocab_size = self.config["vocab_size"]
        self.top_k = _whole(scoring, "top_k", 0, 0, vocab_size)
        self.bow = bool(scoring.get("bow", False))
        self.way = scoring.get("masked", WAYS[0])
        if self.way not in WAYS:
            raise InputError(f"scoring 'masked' must be one of {', '.join(WAYS)}, not {self.way!r}")
        if self.is_masked and self.bow:
            raise InputError(
                f"{self.model}: scoring 'bow' (--corrected) is of causal LMs;"
                " a masked LM does not say where a word ends"
            )
        self.is_separate = scoring.get("tokenisation") == "separate"
        if self.is_separate and self.bow:
            raise InputError(
                "scoring 'bow' needs tokenisation: joint; a word that is tokenised alone"
                " does not begin with its space"
            )
        context = context_length(self.config)
        self.window = _whole(scoring, "window", context, 1 + self.bow, context)
        self.stride = _whole(scoring, "stride", self.window, 1, self.window)
        self.encoder = encoder_of(scoring, self.model, vocab_size, self.model, self.is_masked)
        self.begins: torch.Tensor | None = None  # (V,) bool: which tokens begin a word
        if self.bow:
            self.begins = torch.from_numpy(word_beginnings(self.encoder.tokenizer, vocab_size))
        self.long_texts: dict[tuple, Text] = {}

    def load(self) -> "Engine":
        """Read the weights, unless that has been done; `score` does it, too.

        From then on, `name` begins with the forward that scores the model, and ends with the reason
        why it is not the packed one.
        """
        if self.forward is None:
            self.forward, reason = self._open()
            kind = f"{self.forward.kind} masked" if self.is_masked else self.forward.kind
            self.name = f"{kind} {self.name}" + (f": {reason}" if reason else "")
        return self

    def count_windows(self, items: pa.Table) -> int:
        """How many windows the only text of `items` has. Its tokens are stored for `score`."""
        (text,) = self.encoder.encode(items)
        self.long_texts[_key(items)] = text
        return len(self.windows([text]))

    def score(self, items: pa.Table, part: int = 0, n_parts: int = 1) -> pa.Table:
        """The TOKENS rows of an items table that is sorted by its key.

        With `n_parts` above 1, the rows of one part of its only text, which is divided by windows.
        Raises InputError naming the item for a token that the model does not know, or for a result
        that is not finite.
        """
        planned = self.plan(items, part, n_parts)
        return self.table(items, planned, self.run(planned))

    def plan(self, items: pa.Table, part: int = 0, n_parts: int = 1) -> Planned:
        """What there is to compute, on the host alone.

        The arguments and errors are those of `score`.
        """
        self.load()
        known = self.long_texts.get(_key(items)) if len(items) == 1 else None
        texts = [known] if known else self.encoder.encode(items)
        every = self.windows(texts)
        chosen = every[part * len(every) // n_parts : (part + 1) * len(every) // n_parts]
        first, last = chosen[0].row, chosen[-1].row + len(chosen[-1].targets)
        return Planned(texts, list(self.passes(chosen)), first, last)

    def run(self, planned: Planned) -> list[dict[str, np.ndarray]]:
        """The columns of statistics, by name, of each draw."""
        with torch.inference_mode(), self._enough_memory():
            return [self._draw(planned, draw) for draw in range(self.n_draws)]

    def table(
        self, items: pa.Table, planned: Planned, draws: list[dict[str, np.ndarray]]
    ) -> pa.Table:
        """The TOKENS rows of the columns that `run` computed."""
        return token_table(items, planned.texts, draws, self.model, planned.first, planned.last)

    def windows(self, texts: list[Text]) -> list[Window]:
        """What the model sees of these texts at a time, and which output rows that gives."""
        if self.is_masked and not self.is_separate:
            return masked_windows(texts, self.window, self.stride, self.mask_id, self.way)
        return windows(texts, self.window, self.stride, self.bow)

    def passes(self, parts: list[Window]) -> Iterator[Pass]:
        """The passes over these windows."""
        budget, share = self.token_budget, self.share_prefixes
        if isinstance(self.forward, Padded):
            budget, share = self.forward.pass_budget, share and not self.forward.of_one_length
        if self.is_masked:
            return masked_passes(parts, budget)
        return passes(parts, budget, share)

    def _draw(self, planned: Planned, draw: int) -> dict[str, np.ndarray]:
        """The columns of statistics of output rows first..last, for one draw."""
        columns: dict[str, np.ndarray] = {}
        for one_pass in planned.passes:
            for name, column in self._run_pass(one_pass, draw).items():
                empty = np.empty((planned.last - planned.first, *column.shape[1:]), column.dtype)
                columns.setdefault(name, empty)[one_pass.rows - planned.first] = column
        return columns

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        """Turn an error for lack of memory into an InputError that says what to lower."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            is_full = isinstance(error, MemoryError | torch.OutOfMemoryError)
            if not is_full and "allocate memory" not in str(error):
                raise
            if self.kernel == "cuda":
                advice = f"lower gpu_token_budget, which is {self.token_budget}"
            else:
                advice = f"lower token_budget, which is {self.token_budget}, or LMCORE_WORKERS"
            raise InputError(f"{self.model}: out of memory; {advice}") from error

    def _run_pass(self, one_pass: Pass, draw: int) -> dict[str, np.ndarray]:
        """The columns of statistics of a pass's output rows."""
        assert self.forward is not None
        options = {"draw": draw} if isinstance(self.forward, Control) else {}
        states = self.forward.hidden(one_pass, **options)
        values, masses = statistics(
            self.forward.head,
            states,
            one_pass.pair_nodes,
            one_pass.pair_next,
            top_k=self.top_k,
            begins=None if self.begins is None else self.begins.to(states.device),
            chunk_rows=self.chunk_rows,
            read=reader(kernels.device_of(self.kernel)),
        )
        columns = {name: column[one_pass.row_pairs] for name, column in values.items()}
        if self.bow:
            columns["bow_logprob"] = masses[one_pass.pair_nodes[one_pass.row_pairs]]
            columns["next_bow_logprob"] = masses[one_pass.row_after]
        return columns


def engine_name(dtype: str, kernel: str | None = None, device: str | None = None) -> str:
    """Kernel, dtype and device, by default those of this machine.

    Together with the model and the versions of the code, these decide the last bits of the results
    and which forward scores the model. They are known without the model's weights.
    """
    kernel = kernel or kernels.choose()
    return f"{kernel} {dtype} {device or device_name(kernel)}"


def device_name(kernel: str) -> str:
    """The name of the GPU, or the instruction set of the CPU."""
    if kernel == "cuda":
        return torch.cuda.get_device_name()
    return f"cpu {torch.backends.cpu.get_cpu_capability()}"


def _key(items: pa.Table) -> tuple:
    """The key of the first row."""
    return tuple(items[name][0].as_py() for name in ITEM_KEY)


def _whole(scoring: dict, name: str, default: int, least: int, most: int) -> int:
    """The whole number `name` of the scoring options. Raises InputError if it is out of range."""
    value = scoring.get(name, default)
    if not isinstance(value, int) or not least <= value <= most:
        raise InputError(
            f"scoring '{name}' must be a whole number from {least} to {most}, not {value!r}"
        )
    return value
