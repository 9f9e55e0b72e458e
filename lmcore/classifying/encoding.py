"""Pairs of texts to token ids, and token ids to padded batches.

A pair is tokenised by the model's own tokenizer with whatever it puts around and between two texts.
Many tokenizers of causal models put nothing: the second text then follows the first directly. Token
types are not given to the model, since the official pipeline does not give them either. A pair that
is too long loses tokens at the end of its longer text, one by one, until it fits
(`longest_first`, what `truncation=True` means).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lmcore.classifying.tasks import Pairs
from lmcore.errors import InputError
from lmcore.models.config import context_length
from lmcore.models.folder import read_config
from lmcore.models.load import load_tokenizer


class Encoded(NamedTuple):
    """Tokenised examples."""

    ids: list[np.ndarray]  # of each example its token ids, (T,) int64
    labels: np.ndarray  # (n,) int64
    n_truncated: int  # examples that were cut

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64: how many tokens each example has."""
        return np.array([len(ids) for ids in self.ids], np.int64)


class Padding(NamedTuple):
    """What fills short examples up, and on which side."""

    side: str  # left or right
    token: int  # masked everywhere, so any token of the vocabulary would do


def encode(folder: Path, pairs: Pairs, max_length: int) -> Encoded:
    """The pairs as the tokenizer of a model folder has them, `max_length` tokens at most.

    Raises InputError for a pair without tokens, and for a token that the model does not have; both
    name the line.
    """
    tokenizer = load_tokenizer(folder)
    vocab_size = read_config(folder)["vocab_size"]
    whole = _ids(tokenizer, pairs.texts)
    too_long = [number for number, ids in enumerate(whole) if len(ids) > max_length]
    cut = _ids(tokenizer, [pairs.texts[n] for n in too_long], max_length) if too_long else []
    for number, ids in zip(too_long, cut, strict=True):
        whole[number] = ids
    for ids, where in zip(whole, pairs.where, strict=True):
        if not len(ids):
            raise InputError(
                f"{where}: its texts have no tokens; expected texts that are not empty"
            )
        if ids.max() >= vocab_size:
            raise InputError(
                f"{where}: the tokenizer of {folder} gives the token {ids.max()}; the model has"
                f" only {vocab_size:,}"
            )
    return Encoded(whole, pairs.labels, len(too_long))


def _ids(tokenizer, texts: list[tuple[str, str]], max_length: int | None = None) -> list:
    """The token ids of each pair, cut to `max_length` tokens if that is given."""
    first, second = map(list, zip(*texts))
    options = {"truncation": True, "max_length": max_length} if max_length else {}
    encoded = tokenizer(first, second, verbose=False, return_attention_mask=False, **options)
    return [np.array(ids, np.int64) for ids in encoded["input_ids"]]


def longest(folder: Path, max_length: int) -> int:
    """`max_length`, or the model's window where that is shorter."""
    return min(max_length, context_length(read_config(folder)))


def padding_of(folder: Path, side: str) -> Padding:
    """The padding of a model: its tokenizer's or its config's token, or token 0 without one."""
    config = read_config(folder)
    for token in (load_tokenizer(folder).pad_token_id, config.get("pad_token_id")):
        if isinstance(token, int) and 0 <= token < config["vocab_size"]:
            return Padding(side, token)
    return Padding(side, 0)


def pad(texts: list[np.ndarray], padding: Padding) -> tuple[torch.Tensor, torch.Tensor]:
    """The ids (B, T) int64 of texts, and a mask (B, T) int64, 0 where padding stands."""
    most = max(map(len, texts))
    ids = torch.full((len(texts), most), padding.token, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(texts):
        place = slice(len(text)) if padding.side == "right" else slice(most - len(text), most)
        ids[row, place] = torch.from_numpy(text)
        mask[row, place] = 1
    return ids, mask
