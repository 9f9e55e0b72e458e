"""What a tokenizer loses: a text and its tokens go in, the characters without a token come out.

There are two kinds of loss:

- *Dropped* bytes stand in no token. A BPE without an unknown token drops what it has no piece for;
  a byte-level BPE that was trained without all 256 bytes is one of these. A pre-tokenizer may
  remove more.
- *Unknown* bytes stand in an unknown token (`<unk>`, `[UNK]`), which does not say which characters
  it stands for.

What a normaliser takes away (an accent, a second form of a letter) is neither. Whitespace that a
pre-tokenizer leaves out between words is not either.

The tokenizers library places the symbols of a word by counting the characters before them, but it
does not count dropped ones, so the offsets of what follows them in the word are too small. A
second tokenizer, without merges and with an unknown token, says where every symbol stands.
"""

import json
from typing import NamedTuple

import numpy as np
from tokenizers import Encoding, Tokenizer, models

from lmcore.text.readable import bytes_of_characters

MARK = "\ufdd0 no such piece"  # U+FDD0 is a noncharacter, which no text may hold


class Dropped(NamedTuple):
    """The bytes of a text that have no token, by the n places where they are."""

    at: np.ndarray  # (n,) the number of the character that the bytes belong to
    n_bytes: np.ndarray  # (n,)


NONE = Dropped(np.zeros(0, np.int64), np.zeros(0, np.int64))


class Losses:
    """Finds what a tokenizer loses. Nothing is computed for a tokenizer that can lose nothing."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer, model = tokenizer, tokenizer.model
        self.unknown_id = unknown_id(tokenizer)
        self.on_bytes = is_byte_level(tokenizer)
        splits = tokenizer.pre_tokenizer.__getstate__() if tokenizer.pre_tokenizer else b""
        self.removes = b'"Removed"' in splits or b'"CharDelimiterSplit"' in splits
        may_drop = isinstance(model, models.BPE) and self.unknown_id is None
        self.missing = missing_bytes(tokenizer) if may_drop else b""
        self.drops = bool(self.missing)
        self.added = set(tokenizer.get_added_tokens_decoder())
        self.speller: Tokenizer | None = None

    def dropped(self, text: str, ids: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, Dropped]:
        """The corrected spans (T, 2) of the tokens `ids` in characters, and what was dropped.

        Spans are corrected where something was dropped.
        """
        if self.drops and self._may_drop(text):
            return self._respell(text, ids, spans)
        return spans, self._removed(text, spans) if self.removes else NONE

    def unknown_bytes(
        self, text: str, ids: np.ndarray, starts: np.ndarray, ends: np.ndarray
    ) -> np.ndarray:
        """(T,) how many bytes of the text each unknown token stands for.

        It is 0 for all other tokens, and where the text itself is the name of the unknown token.
        """
        n_bytes = np.zeros(len(ids), np.int64)
        if self.unknown_id is None:
            return n_bytes
        for token in np.flatnonzero(ids == self.unknown_id):
            piece = text[starts[token] : ends[token]]
            if piece.strip() != self.tokenizer.id_to_token(self.unknown_id):
                n_bytes[token] = len(piece.encode())
        return n_bytes

    def n_characters(self, text: str, encoding: Encoding) -> int:
        """How many characters of the text are dropped or unknown, in whole or in part."""
        ids = np.array(encoding.ids, np.int64)
        spans = np.array(encoding.offsets, np.int64).reshape(-1, 2)
        spans, dropped = self.dropped(text, ids, spans)
        is_unknown = self.unknown_bytes(text, ids, spans[:, 0], spans[:, 1]) > 0
        n_unknown = int((spans[is_unknown, 1] - spans[is_unknown, 0]).sum())
        return len(np.unique(dropped.at)) + n_unknown

    def _may_drop(self, text: str) -> bool:
        """Whether the text may hold a byte that the tokenizer drops."""
        if not self.on_bytes or self.tokenizer.normalizer is not None:
            return True
        content = text.encode()
        return len(content.translate(None, self.missing)) < len(content)

    def _respell(self, text: str, ids: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, Dropped]:
        """As `dropped`, with the places of all symbols that the second tokenizer gives."""
        self.speller = self.speller or speller(self.tokenizer)
        symbols = self.speller.encode(text, add_special_tokens=False)
        places = np.array(symbols.offsets, np.int64).reshape(-1, 2)
        is_lost = np.array(symbols.ids, np.int64) == self.speller.token_to_id(MARK)
        lost, kept = places[is_lost], places[~is_lost]
        sizes = [1 if self.on_bytes else len(text[start:end].encode()) for start, end in lost]
        dropped = Dropped(lost[:, 0], np.array(sizes, np.int64))
        last = np.cumsum([self._n_symbols(int(number)) for number in ids])
        if not len(lost) or not len(last) or last[-1] != len(kept):
            return spans, dropped
        first = np.concatenate([[0], last[:-1]])
        return np.stack([kept[first, 0], kept[last - 1, 1]], 1), dropped

    def _n_symbols(self, number: int) -> int:
        """How many tokens the speller makes of the characters of a token."""
        model, piece = self.tokenizer.model, self.tokenizer.id_to_token(number) or ""
        if number in self.added or (model.byte_fallback and len(piece) == 6 and piece[:3] == "<0x"):
            return 1
        piece = piece.removeprefix(model.continuing_subword_prefix or "")
        return len(piece.removesuffix(model.end_of_word_suffix or ""))

    def _removed(self, text: str, spans: np.ndarray) -> Dropped:
        """The characters that stand in no token's span.

        Whitespace, and what the normaliser takes away, are left out.
        """
        # by how much the number of spans that hold a character changes from one to the next
        changes = np.zeros(len(text) + 1, np.int64)
        np.add.at(changes, spans[:, 0], 1)
        np.add.at(changes, spans[:, 1], -1)
        uncovered = np.flatnonzero(np.cumsum(changes)[:-1] == 0)
        at = []
        for place in uncovered.tolist():
            before = text[max(0, place - 1) : place]
            if self._is_loss(before, text[place]):
                at.append(place)
        sizes = [len(text[place].encode()) for place in at]
        return Dropped(np.array(at, np.int64), np.array(sizes, np.int64))

    def _is_loss(self, before: str, character: str) -> bool:
        """Whether the character, where no token has it, is lost.

        It is, if the normaliser leaves more of it than whitespace, and if the normaliser does not
        join it to the character `before` it.
        """
        normalizer = self.tokenizer.normalizer
        if normalizer is None:
            return bool(character.strip())
        alone = normalizer.normalize_str(character)
        if not alone.strip():
            return False
        joined = normalizer.normalize_str(before + character)
        return joined == normalizer.normalize_str(before) + alone


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id that the tokenizer's model gives to what it does not know, None if it has none."""
    model = tokenizer.model
    if isinstance(model, models.Unigram):
        return json.loads(model.__getstate__()).get("unk_id")
    return model.token_to_id(model.unk_token) if model.unk_token else None


def is_byte_level(tokenizer: Tokenizer) -> bool:
    """Whether the pieces are made of GPT-2's characters for the 256 bytes."""
    steps = [step for step in (tokenizer.normalizer, tokenizer.pre_tokenizer) if step]
    return any(b'"ByteLevel"' in step.__getstate__() for step in steps)


def missing_bytes(tokenizer: Tokenizer) -> bytes:
    """The bytes of UTF-8 text that a BPE without an unknown token may drop.

    Where its pieces are made of characters, these are all bytes, unless it falls back on bytes.
    """
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    fallbacks = [f"<0x{byte:02X}>" for byte in range(256)]
    if tokenizer.model.byte_fallback and all(piece in vocabulary for piece in fallbacks):
        return b""
    if not is_byte_level(tokenizer):
        return bytes(range(256))
    in_text = {*range(0xC0), *range(0xC2, 0xF5)}
    return bytes(
        byte
        for character, byte in bytes_of_characters().items()
        if byte in in_text and character not in vocabulary
    )


def speller(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer like `tokenizer`, without merges.

    It gives MARK for every symbol that `tokenizer` would drop.
    """
    settings = json.loads(tokenizer.to_str())
    model = settings["model"]
    mark_id = 1 + max(model["vocab"].values(), default=-1)
    settings["model"] = model | {
        "vocab": model["vocab"] | {MARK: mark_id},
        "merges": [],
        "unk_token": MARK,
        "fuse_unk": False,
        "ignore_merges": False,
    }
    # the ids from the MARK's on move up by one
    settings["added_tokens"] = [
        {**token, "id": token["id"] + (token["id"] >= mark_id)}
        for token in settings["added_tokens"]
    ]
    spelling = Tokenizer.from_str(json.dumps(settings))
    spelling.encode_special_tokens = tokenizer.encode_special_tokens
    return spelling
