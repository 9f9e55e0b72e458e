"""Items become token sequences with character offsets: context and target are tokenised together, once.

What goes in is a table of items and the tokenizer of a model folder; what comes out is one `Text` per items row. Conventions:

- A token belongs to the target if `end > len(context) or start >= len(context)`. Offsets are the tokenizer's own, into the original text,
  so a normaliser that changes its length does no harm. Byte-level tokenizers that trim whitespace give a token of whitespace alone an empty
  span behind it; it gets back the characters since the token before, so that it belongs to the side its characters stand on.
- `bos` says what stands before the first token: `prefix`, the BOS id, else the EOS id, once; `tokenizer`, the specials that the tokenizer
  itself adds in front; `none`. Neither they nor an EOS that the tokenizer appends is ever scored. Where nothing stands before the first
  token, it has no row.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from lmcore.errors import InputError

BOS_POLICIES = ("prefix", "tokenizer", "none")


class Text(NamedTuple):
    """One items row, tokenised. The first `n_prefix` of `ids` are specials, never scored; `starts`, `ends`, `is_target` describe the
    others.
    """

    ids: np.ndarray  # (n_prefix + T,) int32
    n_prefix: int
    starts: np.ndarray  # (T,) int32, characters in context + target
    ends: np.ndarray
    is_target: np.ndarray  # (T,) bool

    @property
    def n_unscored(self) -> int:
        """How many of `ids` have no row: the specials, or the first token where nothing stands before it."""
        return max(self.n_prefix, 1)


class TextEncoder:
    """The tokenizer of a model folder, with what is needed to make `Text`s of items."""

    def __init__(self, model: Path, vocab_size: int, bos: str, source: str | Path):
        """Raises InputError for an unknown `bos` policy, naming `source`, and where `prefix` finds no BOS or EOS token."""
        if bos not in BOS_POLICIES:
            raise InputError(f"{source}: scoring 'bos' must be one of {', '.join(BOS_POLICIES)}, not {bos!r}")
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.vocab_size, self.bos, self.source = vocab_size, bos, source
        self.prefix_id = find_prefix_id(self.tokenizer, model) if bos == "prefix" else None

    def encode(self, items: pa.Table) -> list[Text]:
        """One Text per row. Raises InputError naming the item whose target has no token to score, or a token unknown to the model."""
        contexts, targets = items["context"].to_pylist(), items["target"].to_pylist()
        encodings = self.tokenizer.encode_batch(
            [context + target for context, target in zip(contexts, targets)], add_special_tokens=self.bos == "tokenizer"
        )
        return [self._text(encoding, len(context), items, row) for row, (encoding, context) in enumerate(zip(encodings, contexts))]

    def _text(self, encoding, n_context: int, items: pa.Table, row: int) -> Text:
        ids = np.array(encoding.ids, np.int32)
        spans = np.array(encoding.offsets, np.int32).reshape(-1, 2)
        added = np.array(encoding.special_tokens_mask, bool)
        own = np.flatnonzero(~added)
        first, last = (own[0], own[-1] + 1) if len(own) else (0, 0)
        prefix, ids, spans = ids[:first], ids[first:last], spans[first:last]
        if self.prefix_id is not None:
            if len(ids) and ids[0] == self.prefix_id:  # the text brings its own: BOS is never doubled
                ids, spans = ids[1:], spans[1:]
            prefix = np.array([self.prefix_id], np.int32)
        starts, ends = _widen(spans[:, 0].copy(), spans[:, 1])
        is_target = (ends > n_context) | (starts >= n_context)
        text = Text(np.concatenate([prefix, ids]), len(prefix), starts, ends, is_target)
        self._check(text, items, row)
        return text

    def _check(self, text: Text, items: pa.Table, row: int) -> None:
        if not text.is_target[text.n_unscored - text.n_prefix :].any():
            raise InputError(f"{self.source}: {name_of(items, row)}: no token of the target can be scored under bos '{self.bos}'")
        if text.ids.max() >= self.vocab_size:
            token = int(text.ids.max())
            known = f"the model knows ids below {self.vocab_size}"
            raise InputError(
                f"{self.source}: {name_of(items, row)}: token {token} {self.tokenizer.id_to_token(token)!r} is unknown; {known}"
            )


def find_prefix_id(tokenizer: Tokenizer, model: Path) -> int:
    """The id of the BOS token, else of the EOS token, as tokenizer_config.json names them; where it names neither, config.json's.

    Raises InputError where there is neither.
    """
    named: dict = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (model / name).exists():
            named |= json.loads((model / name).read_text("utf-8"))
    for key in ("bos_token", "eos_token"):
        token = named.get(key)
        token = token["content"] if isinstance(token, dict) else token
        named_id = tokenizer.token_to_id(token) if token else None
        if named_id is not None:
            return named_id
    config = json.loads((model / "config.json").read_text("utf-8"))
    for key in ("bos_token_id", "eos_token_id"):
        token_id = config.get(key)
        token_id = token_id[0] if isinstance(token_id, list) else token_id
        if token_id is not None:
            return token_id
    raise InputError(
        f"{model}: bos 'prefix' needs a BOS or EOS token in tokenizer_config.json or config.json; use bos 'none' or 'tokenizer'"
    )


def word_beginnings(tokenizer: Tokenizer, vocab_size: int) -> np.ndarray:
    """Which of the ids (V,) begin a word or end the text: pieces that start with whitespace, and special tokens.

    Source: Pimentel & Meister 2024, How to compute the probability of a word.
    """
    begins = np.zeros(vocab_size, bool)
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    for piece, i in tokenizer.get_vocab(with_added_tokens=True).items():
        if i < vocab_size:
            begins[i] = i in special or piece[:1] in "Ġ▁ĊĉčĠ \n\t"
    return begins


def name_of(items: pa.Table, row: int) -> str:
    """How an error names the items row."""
    return f"item '{items['item'][row]}' option {items['option'][row]}"


def _widen(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each empty span the characters since the token before it."""
    empty = np.flatnonzero(starts[1:] == ends[1:]) + 1
    starts[empty] = np.minimum(ends[empty - 1], ends[empty])
    return starts, ends
