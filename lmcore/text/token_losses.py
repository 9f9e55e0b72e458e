"""What a tokenizer does not say: a text and its tokens go in, characters without a token come out.

A BPE without an unknown token drops what stands in no token, as one on bytes does that was trained
without all 256; a pre-tokenizer may remove more. Such bytes are *dropped*. Where there is an
unknown token (`<unk>`, `[UNK]`), it stands for characters without saying which: their bytes are
*unknown*. What a normaliser takes away (an accent, a second form of a letter) is neither, and
whitespace that a pre-tokenizer leaves out between words is not either.

The library counts the characters of a piece's symbols from its beginning, those that it dropped
left out, so that the offsets of what follows them in a word are too small. A second tokenizer,
without merges and with an unknown token, says where every symbol stands.
"""

import json
from typing import NamedTuple

import numpy as np
from tokenizers import Encoding, Tokenizer, models

from lmcore.text.readable import bytes_of_characters

MARK = "\ufdd0 no such piece"  # the first of the characters that no text may hold


class Dropped(NamedTuple):
    """Bytes without a token; arrays are (n,)."""

    at: np.ndarray  # the character that they belong to
    n_bytes: np.ndarray


NONE = Dropped(np.zeros(0, np.int64), np.zeros(0, np.int64))


class Losses:
    """A tokenizer, ready to be asked; nothing is asked of one that can say everything."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer, model = tokenizer, tokenizer.model
        self.unknown_id = unknown_id(tokenizer)
        self.on_bytes = is_byte_level(tokenizer)
        splits = tokenizer.pre_tokenizer.__getstate__() if tokenizer.pre_tokenizer else b""
        self.removes = b'"Removed"' in splits or b'"CharDelimiterSplit"' in splits
        self.missing = (
            missing_bytes(tokenizer)
            if isinstance(model, models.BPE) and self.unknown_id is None
            else b""
        )
        self.drops = bool(self.missing)
        self.added = set(tokenizer.get_added_tokens_decoder())
        self.speller: Tokenizer | None = None

    def dropped(self, text: str, ids: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, Dropped]:
        """The spans (T, 2) of the tokens `ids` in characters, put right where something was dropped, and what was."""
        if self.drops and self._may_drop(text):
            return self._spelled(text, ids, spans)
        return spans, self._removed(text, spans) if self.removes else NONE

    def unknown_bytes(
        self, text: str, ids: np.ndarray, starts: np.ndarray, ends: np.ndarray
    ) -> np.ndarray:
        """(T,) how many bytes of the text each unknown token stands for; 0 for all other tokens, and where the text is its name."""
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
        ids, spans = (
            np.array(encoding.ids, np.int64),
            np.array(encoding.offsets, np.int64).reshape(-1, 2),
        )
        spans, dropped = self.dropped(text, ids, spans)
        unknown = self.unknown_bytes(text, ids, spans[:, 0], spans[:, 1]) > 0
        return len(np.unique(dropped.at)) + int((spans[unknown, 1] - spans[unknown, 0]).sum())

    def _may_drop(self, text: str) -> bool:
        if not self.on_bytes or self.tokenizer.normalizer is not None:
            return True
        content = text.encode()
        return len(content.translate(None, self.missing)) < len(content)

    def _spelled(self, text: str, ids: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, Dropped]:
        self.speller = self.speller or speller(self.tokenizer)
        spelled = self.speller.encode(text, add_special_tokens=False)
        places = np.array(spelled.offsets, np.int64).reshape(-1, 2)
        is_lost = np.array(spelled.ids, np.int64) == self.speller.token_to_id(MARK)
        lost, kept = places[is_lost], places[~is_lost]
        sizes = [1 if self.on_bytes else len(text[start:end].encode()) for start, end in lost]
        last = np.cumsum([self._n_symbols(int(number)) for number in ids])
        if not len(lost) or not len(last) or last[-1] != len(kept):
            return spans, Dropped(lost[:, 0], np.array(sizes, np.int64))
        first = np.concatenate([[0], last[:-1]])
        return np.stack([kept[first, 0], kept[last - 1, 1]], 1), Dropped(
            lost[:, 0], np.array(sizes, np.int64)
        )

    def _n_symbols(self, number: int) -> int:
        """How many tokens the speller makes of the characters of a token."""
        model, piece = self.tokenizer.model, self.tokenizer.id_to_token(number) or ""
        if number in self.added or (model.byte_fallback and len(piece) == 6 and piece[:3] == "<0x"):
            return 1
        return len(
            piece.removeprefix(model.continuing_subword_prefix or "").removesuffix(
                model.end_of_word_suffix or ""
            )
        )

    def _removed(self, text: str, spans: np.ndarray) -> Dropped:
        """The characters, but for whitespace and what the normaliser takes, that stand in no token's span."""
        covered = np.zeros(len(text) + 1, np.int64)
        np.add.at(covered, spans[:, 0], 1)
        np.add.at(covered, spans[:, 1], -1)
        alone = np.flatnonzero(np.cumsum(covered)[:-1] == 0)
        at = [
            place
            for place in alone.tolist()
            if self._counts(text[max(0, place - 1) : place], text[place])
        ]
        return Dropped(
            np.array(at, np.int64), np.array([len(text[place].encode()) for place in at], np.int64)
        )

    def _counts(self, before: str, character: str) -> bool:
        """Whether the character is more than whitespace after normalisation, and no part of the one before it."""
        normalizer = self.tokenizer.normalizer
        if normalizer is None:
            return bool(character.strip())
        alone = normalizer.normalize_str(character)
        return (
            bool(alone.strip())
            and normalizer.normalize_str(before + character)
            == normalizer.normalize_str(before) + alone
        )


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id that the tokenizer's model gives to what it does not know, if it has one."""
    model = tokenizer.model
    if isinstance(model, models.Unigram):
        return json.loads(model.__getstate__()).get("unk_id")
    return model.token_to_id(model.unk_token) if model.unk_token else None


def is_byte_level(tokenizer: Tokenizer) -> bool:
    """Whether the pieces are made of GPT-2's characters for the 256 bytes."""
    steps = [
        part.__getstate__() for part in (tokenizer.normalizer, tokenizer.pre_tokenizer) if part
    ]
    return any(b'"ByteLevel"' in step for step in steps)


def missing_bytes(tokenizer: Tokenizer) -> bytes:
    """The bytes of UTF-8 text that a BPE without an unknown token may drop: of one on characters all, if it does not fall back."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    if tokenizer.model.byte_fallback and all(
        f"<0x{byte:02X}>" in vocabulary for byte in range(256)
    ):
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
    """`tokenizer` without merges, which gives MARK for every symbol that it would drop."""
    settings = json.loads(tokenizer.to_str())
    model = settings["model"]
    vocabulary = model["vocab"] | {MARK: 1 + max(model["vocab"].values(), default=-1)}
    settings["model"] = model | {
        "vocab": vocabulary,
        "merges": [],
        "unk_token": MARK,
        "fuse_unk": False,
        "ignore_merges": False,
    }
    added = settings["added_tokens"]
    clash = vocabulary[MARK]
    settings["added_tokens"] = [
        {**token, "id": token["id"] + (token["id"] >= clash)} for token in added
    ]
    found = Tokenizer.from_str(json.dumps(settings))
    found.encode_special_tokens = tokenizer.encode_special_tokens
    return found
