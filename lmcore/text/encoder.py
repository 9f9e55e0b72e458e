"""Items become token sequences with character offsets: context and target are tokenised together, once.

What goes in is a table of items and the tokenizer of a model folder; what comes out is one `Text` per items row. Conventions:

- A token belongs to the target if `end > len(context) or start >= len(context)`. Offsets are the tokenizer's own, into the original text,
  so a normaliser that changes its length does no harm; where it dropped characters, they are put right (lmcore.text.token_losses).
  Tokenizers that trim whitespace give a token of whitespace alone an empty span behind it; it gets back the characters since the token
  before, so that it belongs to the side its characters stand on.
- A masked LM reads every text between the specials that its tokenizer adds before and behind it, whatever `bos` says. Only the tokens of
  targets are scored by it, since each costs a pass of its own.
- `bos` says what stands before the first token: `prefix`, the BOS id, else the EOS id, once; `tokenizer`, the specials that the tokenizer
  itself adds in front; `none`. Neither they nor an EOS that the tokenizer appends is ever scored, and a text that begins with them does
  not double them. Where nothing stands before the first token, it has no row.
- The BOS is the one that the files of the tokenizer name, else that of the tokenizer's class, then likewise the EOS; where there is
  neither, that of config.json, which is often left over from another model: there it must be a special token of the tokenizer.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from tokenizers import Encoding, Tokenizer, models

from lmcore.errors import InputError
from lmcore.files import read_json_object
from lmcore.text.readable import token_pieces
from lmcore.text.token_losses import Losses
from lmcore.text.tokenizer import encode_texts, load_fast
from lmcore.text.tokenizer_config import class_defaults, read_tokenizer_config

SPACES = " Ġ▁"  # as themselves, in a byte-level piece, in a SentencePiece
MASKS = ("[MASK]", "<mask>")  # of BERT's and of RoBERTa's tokenizers
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
    unknown_bytes: np.ndarray | None = (
        None  # (T,) int32, bytes of the text that an unknown token stands for; None where there are none
    )
    dropped_bytes: np.ndarray | None = (
        None  # (T,) int32, bytes beside the token that no token stands for
    )
    suffix: np.ndarray | None = (
        None  # int32, the specials behind the text, which only masked LMs read
    )
    words: np.ndarray | None = (
        None  # (T,) int32, the number of each token's word as the tokenizer splits texts, -1 for none
    )

    @property
    def n_unscored(self) -> int:
        """How many of `ids` have no row: the specials, or the first token where nothing stands before it; for masked LMs also contexts."""
        if self.words is not None:
            return self.n_prefix + int(np.argmax(self.is_target))
        return max(self.n_prefix, 1)


class TextEncoder:
    """The tokenizer of a model folder, with what is needed to make `Text`s of items."""

    def __init__(
        self, model: Path, vocab_size: int, bos: str, source: str | Path, for_masked: bool = False
    ):
        """`for_masked`: as masked LMs read texts. Raises InputError for an unknown `bos` policy, naming `source`, and where `prefix`
        finds no BOS or EOS token.
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
        """One Text per row. Raises InputError naming the item whose target has no token to score, or a token unknown to the model."""
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
        every, own = own_tokens(encoding)
        prefix = every[: own.start] if self.prefix_id is None else [self.prefix_id]
        ids, spans = (
            np.array(every[own], np.int32),
            np.array(encoding.offsets[own], np.int32).reshape(-1, 2),
        )
        spans, dropped = self.losses.dropped(characters, ids, spans)
        n_doubled = count_doubled(every[own], prefix)
        ids, spans = ids[n_doubled:], spans[n_doubled:].astype(np.int32)
        starts, ends = _widen(spans[:, 0].copy(), spans[:, 1])
        is_target = (ends > n_context) | (starts >= n_context)
        text = Text(
            np.concatenate([np.array(prefix, np.int32), ids]), len(prefix), starts, ends, is_target
        )
        if self.for_masked:
            if not prefix:
                raise InputError(
                    f"{self.source}: its tokenizer adds no special token in front; expected one, as [CLS], of a masked LM"
                )
            words = [-1 if word is None else word for word in encoding.word_ids[own]][n_doubled:]
            text = text._replace(
                suffix=np.array(every[own.stop :], np.int32), words=np.array(words, np.int32)
            )
        self._check(text, items, row)
        # of a token on both sides the part in the target alone counts: that is what is divided by
        unknown = self.losses.unknown_bytes(
            characters, ids, np.where(is_target, np.maximum(starts, n_context), starts), ends
        )
        beside = _beside(dropped.at, dropped.n_bytes, starts, is_target, n_context)
        return (
            text._replace(unknown_bytes=unknown, dropped_bytes=beside)
            if unknown.any() or beside.any()
            else text
        )

    def _check(self, text: Text, items: pa.Table, row: int) -> None:
        if not text.is_target[text.n_unscored - text.n_prefix :].any():
            raise InputError(
                f"{self.source}: {name_of(items, row)}: no token of the target can be scored under bos '{self.bos}'"
            )
        if text.ids.max() >= self.vocab_size:
            token = int(text.ids.max())
            known = f"the model knows ids below {self.vocab_size}"
            raise InputError(
                f"{self.source}: {name_of(items, row)}: token {token} {self.tokenizer.id_to_token(token)!r} is unknown; {known}"
            )


def own_tokens(encoding: Encoding) -> tuple[list[int], slice]:
    """The ids of an encoding, and which of them are the text's own: not the specials that the tokenizer puts before and behind it."""
    own = [place for place, added in enumerate(encoding.special_tokens_mask) if not added]
    return encoding.ids, slice(own[0], own[-1] + 1) if own else slice(0, 0)


def count_doubled(ids: list[int], prefix: list[int]) -> int:
    """How many of a text's first tokens are those that stand before it anyway: the text brings its own BOS."""
    return next((n for n, number in enumerate(ids) if number not in prefix), len(ids))


def find_prefix_id(tokenizer: Tokenizer, model: Path) -> int:
    """The id of the BOS token, else of the EOS token: as the files of the tokenizer name it, else as its class has it, else config.json's.

    A file that names none (null) overrules the class. Raises InputError where there is neither, for an id beyond the model's vocabulary,
    and where config.json's ids, which alone are left, are no special tokens.
    """
    config = read_tokenizer_config(model)
    file = model / "config.json"
    of_model = read_json_object(file, "a model's config.json") if file.exists() else {}
    vocab_size = of_model.get("vocab_size") if type(of_model.get("vocab_size")) is int else None
    model_type = of_model.get("model_type") if isinstance(of_model.get("model_type"), str) else None
    for key, of_class in zip(
        ("bos_token", "eos_token"), class_defaults(config, model_type), strict=True
    ):
        token = config.content(key) if key in config.named else of_class
        number = tokenizer.token_to_id(token) if token else None
        if number is None:
            continue
        if vocab_size is not None and number >= vocab_size:
            name = key.removesuffix("_token").upper()
            raise InputError(
                f"{model}: the tokenizer's {name} {token!r} has id {number:,}, beyond the model's vocabulary of {vocab_size:,}"
            )
        return number
    return _prefix_of_config(tokenizer, file, of_model, vocab_size)


def find_mask_id(model: Path) -> int:
    """The id of the mask token of a masked LM's folder: as the files of its tokenizer name it, else the one of MASKS that it has.

    Raises InputError where there is none.
    """
    tokenizer, config = load_fast(model), read_tokenizer_config(model)
    names = [config.content("mask_token")] if "mask_token" in config.named else MASKS
    ids = [number for name in names if name and (number := tokenizer.token_to_id(name)) is not None]
    if not ids:
        raise InputError(
            f"{model / 'tokenizer_config.json'}: names no 'mask_token' of the tokenizer; expected one, as [MASK], of a masked LM"
        )
    return ids[0]


def _prefix_of_config(
    tokenizer: Tokenizer, file: Path, config: dict[str, Any], vocab_size: int | None
) -> int:
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
                f"{file}: {key} {number:,} is outside the vocabulary of {size:,}; expected the id of a special token"
            )
        if number in special:
            return number
        refused.append(f"{key} {number} is {tokenizer.id_to_token(number)!r}, no special token")
    found = f" ({', '.join(refused)})" if refused else ""
    expected = "a BOS or EOS token in tokenizer_config.json or config.json"
    raise InputError(
        f"{file.parent}: bos 'prefix' needs {expected}{found}; use bos 'none' or 'tokenizer'"
    )


def word_beginnings(tokenizer: Tokenizer, vocab_size: int) -> np.ndarray:
    """Which of the ids (V,) begin a word or end the text: special tokens, and pieces that say that whitespace stands before them.

    That is a leading space, as itself, as `Ġ`, `▁` or `<0x20>`, a tab or the end of a line. Where
    the tokenizer leaves whitespace out, it is a piece without the prefix of those that go on with a
    word (WordPiece's `##`), and every piece of a WordLevel; of punctuation these do not say whether
    whitespace stands before it, and it counts. Raises InputError for a tokenizer that says nothing
    of the kind.
    Source: Pimentel & Meister 2024, How to compute the probability of a word.
    """
    prefix, keeps_spaces = (
        getattr(tokenizer.model, "continuing_subword_prefix", None),
        _leads_with_spaces(tokenizer),
    )
    if not keeps_spaces and not prefix and not isinstance(tokenizer.model, models.WordLevel):
        raise InputError(
            f"scoring 'bow' (--corrected): a {type(tokenizer.model).__name__} tokenizer that leaves out the spaces between words, or "
            "puts them behind, does not say where a word begins; expected pieces with leading spaces, or with a prefix as ##"
        )
    begins = np.zeros(vocab_size, bool)
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    pieces = token_pieces(tokenizer) if keeps_spaces else []
    for piece, i in tokenizer.get_vocab(with_added_tokens=True).items():
        if i < vocab_size:
            begins[i] = i in special or _begins(piece, pieces[i] if keeps_spaces else None, prefix)
    return begins


def _begins(piece: str, content: bytes | None, prefix: str | None) -> bool:
    if content is None:
        return not prefix or not piece.startswith(prefix)
    return piece[:1] in SPACES or content[:1] in (b" ", b"\n", b"\t", b"\r")


def _leads_with_spaces(tokenizer: Tokenizer) -> bool:
    """Whether the pieces of a text hold the spaces between its words, before the words."""
    text = tokenizer.normalizer.normalize_str("a b c") if tokenizer.normalizer else "a b c"
    split = (
        tokenizer.pre_tokenizer.pre_tokenize_str(text)
        if tokenizer.pre_tokenizer
        else [(text, (0, len(text)))]
    )
    pieces = [piece for piece, _ in split]
    trailing = any(len(piece) > 1 and piece[-1] in SPACES for piece in pieces)
    return not trailing and any(character in SPACES for piece in pieces for character in piece)


def name_of(items: pa.Table, row: int) -> str:
    """How an error names the items row."""
    return f"item '{items['item'][row]}' option {items['option'][row]}"


def _widen(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each empty span the characters since the token before it."""
    empty = np.flatnonzero(starts[1:] == ends[1:]) + 1
    starts[empty] = np.minimum(ends[empty - 1], ends[empty])
    return starts, ends


def _beside(
    at: np.ndarray, n_bytes: np.ndarray, starts: np.ndarray, is_target: np.ndarray, n_context: int
) -> np.ndarray:
    """(T,) the dropped bytes beside each token: of the character `at`, the token before it on its side of the target's beginning, else
    the one behind it.
    """
    found = np.zeros(len(starts), np.int64)
    for place, size in zip(at.tolist(), n_bytes.tolist(), strict=True):
        side = place >= n_context
        before = int(np.searchsorted(starts, place, "right")) - 1
        for token in (before, before + 1):
            if 0 <= token < len(starts) and is_target[token] == side:
                found[token] += size
                break
    return found
