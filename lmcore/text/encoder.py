"""Items become token sequences with character offsets.

A table of items and the tokenizer of a model folder go in. One `Text` for each items row comes out.
Context and target are tokenised together, once. Conventions:

- A token belongs to the target if `end > len(context) or start >= len(context)`. Offsets are those
  of the tokenizer, into the original text, so a normaliser that changes the length of the text does
  no harm. Where the tokenizer dropped characters, the offsets are corrected
  (lmcore.text.token_losses). Some tokenizers trim whitespace and give a token of whitespace alone
  an empty span behind the whitespace. Such a token gets back the characters since the token before
  it, so that it belongs to the side on which its characters stand.
- A masked LM reads every text between the special tokens that its tokenizer adds before and behind
  it, whatever `bos` says. It scores only the tokens of targets, because each costs a pass of its
  own.
- `bos` says what stands before the first token. `prefix`: the BOS id, else the EOS id, once.
  `tokenizer`: the special tokens that the tokenizer itself adds in front. `none`: nothing. Neither
  these tokens nor an EOS that the tokenizer appends are ever scored. If a text begins with these
  tokens itself, they are not doubled. Where nothing stands before the first token, it has no row.
- The BOS is the token that the tokenizer's files name, else that of the tokenizer's class. The EOS
  is found in the same way. Where there is neither, the ids of config.json count. These are often
  left over from another model, so they must be special tokens of the tokenizer.
"""

from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from tokenizers import Encoding, Tokenizer, models

from lmcore.errors import InputError
from lmcore.files import read_json_object
from lmcore.params.ranges import Bos
from lmcore.text.readable import token_pieces
from lmcore.text.token_losses import Dropped, Losses
from lmcore.text.tokenizer import encode_texts, load_fast
from lmcore.text.tokenizer_config import class_defaults, read_tokenizer_config

# how a space begins a piece: as itself, byte-level, in SentencePiece
SPACES = " Ġ▁"
# the mask tokens of BERT's and of RoBERTa's tokenizers
MASKS = ("[MASK]", "<mask>")
BOS_POLICIES = get_args(Bos)


class Piece(NamedTuple):
    """One token of a target that is tokenised apart from its context (lmcore.text.separate)."""

    inputs: np.ndarray  # (L,) int32, all that the model reads
    place: int  # which of the inputs predicts the token
    target: int


class Text(NamedTuple):
    """One items row, tokenised.

    The first `n_prefix` of `ids` are special tokens, which are never scored. The fields of shape
    (T,) describe the other tokens.
    """

    ids: np.ndarray  # (n_prefix + T,) int32
    n_prefix: int
    starts: np.ndarray  # (T,) int32, characters in context + target
    ends: np.ndarray  # (T,) int32
    is_target: np.ndarray  # (T,) bool
    # (T,) int, bytes of the text for which an unknown token stands; None where there are none, and
    # no dropped bytes either
    unknown_bytes: np.ndarray | None = None
    # (T,) int, bytes beside the token for which no token stands; None where `unknown_bytes` is
    dropped_bytes: np.ndarray | None = None
    # int32, the special tokens behind the text; for masked LMs only, which alone read them
    suffix: np.ndarray | None = None
    # (T,) int32, the number of each token's word as the tokenizer splits texts, -1 for none; for
    # masked LMs only
    words: np.ndarray | None = None
    # of each token of the target, where it is tokenised apart from the context
    pieces: tuple[Piece, ...] | None = None

    @property
    def n_unscored(self) -> int:
        """How many of the first `ids` have no row.

        These are the special tokens, or the first token where nothing stands before it. For masked
        LMs, and for texts in pieces, the tokens of the context are among them, too.
        """
        if self.words is not None or self.pieces is not None:
            return self.n_prefix + int(np.argmax(self.is_target))
        return max(self.n_prefix, 1)


class TextEncoder:
    """The tokenizer of a model folder, with everything that is needed to make `Text`s of items."""

    def __init__(
        self, model: Path, vocab_size: int, bos: str, source: str | Path, for_masked: bool = False
    ):
        """Load the tokenizer of the folder `model`.

        for_masked: whether texts are encoded as masked LMs read them.

        Raises InputError for an unknown `bos` policy, naming `source`, and where the policy
        `prefix` finds no BOS or EOS token.
        """
        if bos not in BOS_POLICIES:
            raise InputError(
                f"{source}: scoring 'bos' must be one of {', '.join(BOS_POLICIES)}, not {bos!r}"
            )
        self.tokenizer = load_fast(model)
        self.losses = Losses(self.tokenizer)
        self.vocab_size, self.source, self.for_masked = vocab_size, source, for_masked
        self.bos = bos = "tokenizer" if for_masked else bos
        self.prefix_id = find_prefix_id(self.tokenizer, model) if bos == "prefix" else None

    def encode(self, items: pa.Table) -> list[Text]:
        """One Text per row.

        Raises InputError, naming the item, where no token of the target can be scored, and for a
        token that the model does not know.
        """
        contexts, targets = items["context"].to_pylist(), items["target"].to_pylist()
        texts = [context + target for context, target in zip(contexts, targets)]
        encodings = encode_texts(
            self.tokenizer,
            texts,
            lambda row: f"{self.source}: {name_of(items, row)}",
            add_special_tokens=self.bos == "tokenizer",
        )
        return [
            self._text(encoding, texts[row], len(contexts[row]), items, row)
            for row, encoding in enumerate(encodings)
        ]

    def _text(
        self, encoding: Encoding, characters: str, n_context: int, items: pa.Table, row: int
    ) -> Text:
        """The Text of one row.

        characters: context and target. n_context: the length of the context in characters.
        """
        all_ids, own_slice = own_tokens(encoding)
        prefix = all_ids[: own_slice.start] if self.prefix_id is None else [self.prefix_id]
        ids = np.array(all_ids[own_slice], np.int32)
        spans = np.array(encoding.offsets[own_slice], np.int32).reshape(-1, 2)
        spans, dropped = self.losses.dropped(characters, ids, spans)
        n_doubled = count_doubled(all_ids[own_slice], prefix)
        ids, spans = ids[n_doubled:], spans[n_doubled:].astype(np.int32)
        starts, ends = _widen(spans[:, 0].copy(), spans[:, 1])
        is_target = (ends > n_context) | (starts >= n_context)
        text = Text(
            np.concatenate([np.array(prefix, np.int32), ids]), len(prefix), starts, ends, is_target
        )
        if self.for_masked:
            word_ids = encoding.word_ids[own_slice][n_doubled:]
            text = self._as_masked(text, word_ids, all_ids[own_slice.stop :])
        self._check(text, items, row)
        return self._with_losses(text, characters, n_context, dropped)

    def _as_masked(self, text: Text, word_ids: list[int | None], suffix: list[int]) -> Text:
        """The Text with the fields that only masked LMs have.

        Raises InputError where no special token stands in front.
        """
        if not text.n_prefix:
            raise InputError(
                f"{self.source}: its tokenizer adds no special token in front of a text; "
                "a masked LM needs one, such as [CLS]"
            )
        words = [-1 if word is None else word for word in word_ids]
        return text._replace(suffix=np.array(suffix, np.int32), words=np.array(words, np.int32))

    def _with_losses(self, text: Text, characters: str, n_context: int, dropped: Dropped) -> Text:
        """The Text with its unknown and dropped bytes, where there are any."""
        # of a token on both sides, only the part in the target counts, because sums of log-probs
        # are divided by the bytes of the target
        starts = np.where(text.is_target, np.maximum(text.starts, n_context), text.starts)
        ids = text.ids[text.n_prefix :]
        unknown_bytes = self.losses.unknown_bytes(characters, ids, starts, text.ends)
        dropped_bytes = _bytes_beside(dropped, text, n_context)
        if unknown_bytes.any() or dropped_bytes.any():
            return text._replace(unknown_bytes=unknown_bytes, dropped_bytes=dropped_bytes)
        return text

    def _check(self, text: Text, items: pa.Table, row: int) -> None:
        """Raises InputError as `encode`."""
        if not text.is_target[text.n_unscored - text.n_prefix :].any():
            raise InputError(
                f"{self.source}: {name_of(items, row)}: no token of the target can be scored "
                f"under bos '{self.bos}'"
            )
        self.check_known(int(text.ids.max()), f"{self.source}: {name_of(items, row)}")

    def check_known(self, token: int, where: str) -> None:
        """Raises InputError, which begins with `where`, for an id beyond the model's vocabulary."""
        if token >= self.vocab_size:
            raise InputError(
                f"{where}: token {token} "
                f"{self.tokenizer.id_to_token(token)!r} is not in the model's vocabulary; "
                f"its ids are below {self.vocab_size}"
            )

    def alone(self, characters: str, encoding: Encoding) -> Text:
        """The Text of a target that was encoded alone, without special tokens."""
        ids = np.array(encoding.ids, np.int32)
        spans = np.array(encoding.offsets, np.int32).reshape(-1, 2)
        spans, dropped = self.losses.dropped(characters, ids, spans)
        starts, ends = _widen(spans[:, 0].astype(np.int32), spans[:, 1].astype(np.int32))
        text = Text(ids, 0, starts, ends, np.ones(len(ids), bool))
        return self._with_losses(text, characters, 0, dropped)


def own_tokens(encoding: Encoding) -> tuple[list[int], slice]:
    """The ids of an encoding, and which of them are the text's own.

    The special tokens that the tokenizer puts before and behind it are left out.
    """
    places = [place for place, is_added in enumerate(encoding.special_tokens_mask) if not is_added]
    return encoding.ids, slice(places[0], places[-1] + 1) if places else slice(0, 0)


def count_doubled(ids: list[int], prefix: list[int]) -> int:
    """How many of a text's first tokens stand before it anyway.

    There are some where the text brings its own BOS.
    """
    return next((place for place, number in enumerate(ids) if number not in prefix), len(ids))


def find_prefix_id(tokenizer: Tokenizer, model: Path) -> int:
    """The id of the BOS token, else that of the EOS token.

    The token is the one that the tokenizer's files name, else that of its class. Where there is
    neither BOS nor EOS, the ids of config.json count. A file that names no token (null) overrules
    the class.

    Raises InputError where there is no such token at all, for an id beyond the model's vocabulary,
    and where only the ids of config.json are left and they are no special tokens.
    """
    settings = read_tokenizer_config(model)
    file = model / "config.json"
    config = read_json_object(file, "a model's config.json") if file.exists() else {}
    vocab_size = config.get("vocab_size") if type(config.get("vocab_size")) is int else None
    model_type = config.get("model_type") if isinstance(config.get("model_type"), str) else None
    defaults = class_defaults(settings, model_type)
    for key, default in zip(("bos_token", "eos_token"), defaults, strict=True):
        token = settings.content(key) if key in settings.named else default
        number = tokenizer.token_to_id(token) if token else None
        if number is None:
            continue
        if vocab_size is not None and number >= vocab_size:
            name = key.removesuffix("_token").upper()
            raise InputError(
                f"{model}: the tokenizer's {name} {token!r} has id {number:,}, "
                f"beyond the model's vocabulary of {vocab_size:,}"
            )
        return number
    return _prefix_of_config(tokenizer, file, config, vocab_size)


def find_mask_id(model: Path) -> int:
    """The id of the mask token of a masked LM's folder.

    The token is the one that the tokenizer's files name. Where they say nothing about it, it is the
    one of MASKS that the tokenizer has. Raises InputError where there is none.
    """
    tokenizer, config = load_fast(model), read_tokenizer_config(model)
    names = [config.content("mask_token")] if "mask_token" in config.named else MASKS
    for name in names:
        number = tokenizer.token_to_id(name) if name else None
        if number is not None:
            return number
    raise InputError(
        f"{model / 'tokenizer_config.json'}: names no 'mask_token' that the tokenizer has; "
        "a masked LM needs one, such as [MASK]"
    )


def _prefix_of_config(
    tokenizer: Tokenizer, file: Path, config: dict[str, Any], vocab_size: int | None
) -> int:
    """The first of config.json's BOS and EOS ids that is a special token of the tokenizer.

    Raises InputError where there is none, and for a value that is no token id.
    """
    special = {
        number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special
    }
    refused = []
    for key in ("bos_token_id", "eos_token_id"):
        number = config.get(key)
        number = number[0] if isinstance(number, list) and number else number
        if number is None or number == []:
            continue
        if type(number) is not int:
            raise InputError(f"{file}: {key} must be a token id, not {number!r}")
        size = vocab_size or tokenizer.get_vocab_size()
        if not 0 <= number < size:
            raise InputError(
                f"{file}: {key} {number:,} is outside the vocabulary of {size:,}; "
                "expected the id of a special token"
            )
        if number in special:
            return number
        refused.append(f"{key} {number} is {tokenizer.id_to_token(number)!r}, no special token")
    refusals = f" ({', '.join(refused)})" if refused else ""
    raise InputError(
        f"{file.parent}: bos 'prefix' needs a BOS or EOS token in tokenizer_config.json or "
        f"config.json{refusals}; use bos 'none' or 'tokenizer'"
    )


def word_beginnings(tokenizer: Tokenizer, vocab_size: int) -> np.ndarray:
    """Which of the ids (V,) begin a word or end the text.

    These are the special tokens, and the pieces that say that whitespace stands before them: they
    begin with a space (as itself, as `Ġ`, `▁` or `<0x20>`), a tab or the end of a line.

    Where the tokenizer leaves whitespace out, they are the pieces without the prefix of those that
    go on with a word (WordPiece's `##`), and every piece of a WordLevel. Such tokenizers do not say
    whether whitespace stands before punctuation, so punctuation counts.

    Raises InputError for a tokenizer that says nothing of the kind.
    Source: Pimentel & Meister 2024, How to compute the probability of a word.
    """
    prefix = getattr(tokenizer.model, "continuing_subword_prefix", None)
    keeps_spaces = _leads_with_spaces(tokenizer)
    if not keeps_spaces and not prefix and not isinstance(tokenizer.model, models.WordLevel):
        raise InputError(
            f"scoring 'bow' (--corrected): the {type(tokenizer.model).__name__} tokenizer drops "
            "the spaces between words, or puts them at the end of a piece, so its pieces do not "
            "show where a word begins; expected pieces that begin with the space, or a prefix "
            "such as ## inside a word"
        )
    begins = np.zeros(vocab_size, bool)
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    pieces = token_pieces(tokenizer) if keeps_spaces else []
    for piece, i in tokenizer.get_vocab(with_added_tokens=True).items():
        if i < vocab_size:
            begins[i] = i in special or _begins(piece, pieces[i] if keeps_spaces else None, prefix)
    return begins


def _begins(piece: str, content: bytes | None, prefix: str | None) -> bool:
    """Whether a piece begins a word.

    content: its bytes where pieces hold the spaces, else None. prefix: that of pieces that go on.
    """
    if content is None:
        return not prefix or not piece.startswith(prefix)
    return piece[:1] in SPACES or content[:1] in (b" ", b"\n", b"\t", b"\r")


def _leads_with_spaces(tokenizer: Tokenizer) -> bool:
    """Whether the pieces of a text hold the spaces between its words, before the words."""
    text = tokenizer.normalizer.normalize_str("a b c") if tokenizer.normalizer else "a b c"
    pieces = [text]
    if tokenizer.pre_tokenizer:
        pieces = [piece for piece, span in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    is_trailing = any(len(piece) > 1 and piece[-1] in SPACES for piece in pieces)
    return not is_trailing and any(character in SPACES for character in "".join(pieces))


def name_of(items: pa.Table, row: int) -> str:
    """How an error names the items row."""
    return f"item '{items['item'][row]}' option {items['option'][row]}"


def _widen(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each empty span the characters since the token before it."""
    empty = np.flatnonzero(starts[1:] == ends[1:]) + 1
    starts[empty] = np.minimum(ends[empty - 1], ends[empty])
    return starts, ends


def _bytes_beside(dropped: Dropped, text: Text, n_context: int) -> np.ndarray:
    """(T,) the dropped bytes beside each token.

    They count for the token before the dropped character, or else for the token behind it. That
    token must stand on the same side of the target's beginning as the character.
    """
    starts = text.starts
    n_beside = np.zeros(len(starts), np.int64)
    for place, n_bytes in zip(dropped.at.tolist(), dropped.n_bytes.tolist(), strict=True):
        in_target = place >= n_context
        before = int(np.searchsorted(starts, place, "right")) - 1
        for token in (before, before + 1):
            if 0 <= token < len(starts) and text.is_target[token] == in_target:
                n_beside[token] += n_bytes
                break
    return n_beside
