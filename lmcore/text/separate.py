"""Context and target tokenised separately, as BabyLM scores the words of its reading task.

Items go in. One `Text` for each items row comes out, with a `Piece` for each token of the target:
what the model reads, and which token it must predict. The rule, which is kept to the letter:

- The tokens of the target are those of the target alone, without special tokens. So the first of
  them follows the context without the space that stands there in the text, unless the target has
  it.
- The first token is predicted from the tokens of the context, with the special tokens that the
  `bos` policy says. A token that the tokenizer appends to a text stands behind the context, too.
- A later token is decoded alone and tokenised again, and the first token of that is predicted. The
  context is then the text before, with the earlier tokens decoded one by one, tokenised again.
- A masked LM reads the context and N_MASKS mask tokens, and says what the first of them is.

The special tokens and the contexts have no rows. For sound probabilities of words, tokenise context
and target together (lmcore.text.encoder).

Source: get_p2 and get_p2_mlm of evaluation_pipeline/reading/evaluation_functions.py, in
babylm/evaluation-pipeline-2025.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from lmcore.errors import InputError
from lmcore.text.encoder import (
    Piece,
    Text,
    TextEncoder,
    count_doubled,
    find_mask_id,
    name_of,
    own_tokens,
)
from lmcore.text.tokenizer import encode_texts

N_MASKS = 3  # the official default


def encoder_of(
    scoring: dict, model: Path, vocab_size: int, source: str | Path, for_masked: bool = False
) -> "TextEncoder | SeparateEncoder":
    """The encoder that a suite wants, by `bos` and `tokenisation` of its `scoring`.

    The other arguments and the errors are those of TextEncoder.
    """
    encoder = TextEncoder(model, vocab_size, scoring.get("bos", "prefix"), source, for_masked)
    if scoring.get("tokenisation") == "separate":
        return SeparateEncoder(encoder, model)
    return encoder


class SeparateEncoder:
    """Makes `Text`s with `pieces` of items."""

    def __init__(self, encoder: TextEncoder, model: Path):
        """Take over the tokenizer and the BOS policy of `encoder`, which is that of `model`."""
        self.encoder, self.tokenizer = encoder, encoder.tokenizer
        self.masks = ""
        if encoder.for_masked:
            self.mask_id = find_mask_id(model)
            self.masks = N_MASKS * str(self.tokenizer.id_to_token(self.mask_id))

    def encode(self, items: pa.Table) -> list[Text]:
        """One Text per row.

        Raises InputError, naming the item, for an empty context, a target without tokens or with
        one that decodes to nothing, and for a token that the model does not know.
        """
        contexts, targets = items["context"].to_pylist(), items["target"].to_pylist()
        encodings = encode_texts(
            self.tokenizer,
            targets,
            lambda row: f"{self.encoder.source}: {name_of(items, row)}",
            add_special_tokens=False,
        )
        texts = []
        for row, (context, target) in enumerate(zip(contexts, targets, strict=True)):
            where = f"{self.encoder.source}: {name_of(items, row)}"
            pieces = self._pieces(context, list(encodings[row].ids), where)
            word = self.encoder.alone(target, encodings[row])
            texts.append(self._text(context, word, pieces, where))
        return texts

    def _pieces(self, context: str, ids: list[int], where: str) -> tuple[Piece, ...]:
        """A Piece for each of the target's tokens `ids`."""
        before, pieces = context, []
        for number, token in enumerate(ids):
            decoded = self.tokenizer.decode([token], skip_special_tokens=False)
            target = token
            if number:
                again = self.tokenizer.encode(decoded, add_special_tokens=False).ids
                if not again:
                    raise InputError(
                        f"{where}: token {token} {self.tokenizer.id_to_token(token)!r} of the "
                        "target decodes to nothing, so it cannot be scored alone; "
                        "use tokenisation: joint"
                    )
                target = again[0]
            inputs, place = self._inputs(before, where)
            pieces.append(Piece(np.array(inputs, np.int32), place, target))
            before += decoded
        if not pieces:
            raise InputError(f"{where}: the tokenizer makes no token of the target")
        return tuple(pieces)

    def _inputs(self, before: str, where: str) -> tuple[list[int], int]:
        """What the model reads to predict what follows `before`, and which of it predicts that."""
        if self.masks:
            ids = self.tokenizer.encode(before + self.masks).ids
            place = len(ids) - N_MASKS - (ids[-1] != self.mask_id)
            if ids[place] != self.mask_id:
                raise InputError(f"{where}: the tokenizer does not read its mask token in a text")
            return ids, place
        ids, spans, _ = self._with_prefix(before)
        if not spans:
            raise InputError(f"{where}: the tokenizer makes no token of the context")
        return ids, len(ids) - 1

    def _with_prefix(self, text: str) -> tuple[list[int], list[tuple[int, int]], int]:
        """The tokens of a text by the BOS policy; the spans of all but the special ones in front.

        The third result is how many these are. What the tokenizer appends is among the tokens.
        """
        adds = self.encoder.bos == "tokenizer"
        encoding = self.tokenizer.encode(text, add_special_tokens=adds)
        ids, own = own_tokens(encoding)
        if self.encoder.prefix_id is None:
            return list(ids), encoding.offsets[own.start :], own.start
        prefix = [self.encoder.prefix_id]
        n_doubled = count_doubled(ids, prefix)
        return prefix + ids[n_doubled:], encoding.offsets[n_doubled:], 1

    def _text(self, context: str, word: Text, pieces: tuple[Piece, ...], where: str) -> Text:
        """The Text of the context and of `word`, which is the target alone."""
        before, spans, n_prefix = self._with_prefix(context)
        targets = [piece.target for piece in pieces]
        for piece in pieces:
            self.encoder.check_known(max(piece.target, int(piece.inputs.max())), where)
        of_context = np.array(spans, np.int32).reshape(-1, 2)
        no_losses = np.zeros(len(spans), np.int64)
        losses = {}
        for name in ("unknown_bytes", "dropped_bytes"):
            if (values := getattr(word, name)) is not None:
                losses[name] = np.concatenate([no_losses, values])
        return Text(
            np.array([*before, *targets], np.int32),
            n_prefix,
            np.concatenate([of_context[:, 0], word.starts + np.int32(len(context))]),
            np.concatenate([of_context[:, 1], word.ends + np.int32(len(context))]),
            np.arange(len(spans) + len(targets)) >= len(spans),
            pieces=pieces,
            **losses,
        )
