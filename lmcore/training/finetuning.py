"""Examples to fine-tune on: the items of a suite of kind choices go in, token ids come out.

The right ending is the only target. The model is never trained on the items that the pipeline
evaluates: they are left out by their content, and the rest must not share a text with them either.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.errors import InputError
from lmcore.models.config import context_length
from lmcore.models.folder import read_causal_config
from lmcore.suites.declare import kind_of
from lmcore.suites.subset import subset
from lmcore.tables import scoring_of
from lmcore.text.encoder import Text, TextEncoder
from lmcore.training.batches import IGNORED, Examples, Splits


def training_items(
    name: str, entry: dict, table: pa.Table, evaluated: dict[str, pa.Table]
) -> pa.Table:
    """The right options of `table`, `limit` of them, without the items of the `evaluated` suites.

    `table`: all items of the suite that `entry` declares; `evaluated`: items tables by suite.

    Raises InputError for a suite that is not of kind choices, for one with nothing left, and where
    an evaluated suite holds a text of it under another convention.
    """
    if (kind := kind_of(name, entry)) != "choices":
        raise InputError(
            f"finetune_model.{name}: its items are of kind {kind}; "
            "expected kind choices, whose right endings are known"
        )
    table = table.filter(pc.and_(table["gold"], pc.equal(table["variant"], "")))
    for other in evaluated.values():
        is_evaluated = pc.is_in(table["content_hash"], other["content_hash"].combine_chunks())
        table = table.filter(pc.invert(is_evaluated))
    if not len(table):
        raise InputError(
            f"finetune_model.{name}: every item is evaluated; "
            "give its suite a `limit`, so that some are left to train on"
        )
    _check_texts(name, table, evaluated)
    if entry.get("limit") is not None:
        rows = table.select(["item", "group"]).to_pylist()
        chosen = subset(rows, name, entry["limit"], entry.get("seed", 0))
        table = table.filter(pc.is_in(table["item"], pa.array(sorted(chosen))))
    return table


def _check_texts(name: str, table: pa.Table, evaluated: dict[str, pa.Table]) -> None:
    """Raises InputError where an evaluated suite holds a text of `table`."""
    items = {context + target: item for item, context, target in _texts(table)}
    for suite, other in evaluated.items():
        for item, context, target in _texts(other):
            if context and context + target in items:
                raise InputError(
                    f"finetune_model.{name}: the text of its item '{items[context + target]}' is "
                    f"evaluated as item '{item}' of suite '{suite}'; expected different texts"
                )


def _texts(table: pa.Table) -> Iterator[tuple[str, str, str]]:
    """Item, context and target of each row."""
    columns = [table[key].to_pylist() for key in ("item", "context", "target")]
    return zip(*columns, strict=True)


def examples(model: Path, items: pa.Table, dev_share: float, seed: int) -> Splits:
    """The examples of the items, tokenised as they are when scored.

    The seed draws `dev_share` of them for dev. A text longer than the model's window loses its
    beginning. Shorter texts are padded at the end, where no token sees the padding.

    Raises InputError where no item would be left to train on.
    """
    config = read_causal_config(model)
    bos = scoring_of(items)["bos"]
    texts = TextEncoder(model, config["vocab_size"], bos, "finetune_model").encode(items)
    length = min(context_length(config), max(len(text.ids) for text in texts))
    ids, labels = _padded(texts, length)
    order = np.random.default_rng([seed, 2]).permutation(len(texts))
    n_dev = max(1, round(dev_share * len(texts)))
    if n_dev >= len(texts):
        raise InputError(
            f"finetune_model: {len(texts)} items are too few for a dev_share of {dev_share}"
        )
    dev, training = np.sort(order[:n_dev]), np.sort(order[n_dev:])
    return Splits(Examples(ids[training], labels[training]), Examples(ids[dev], labels[dev]))


def _padded(texts: list[Text], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and labels (n, length) int32; the tokens of the target alone have labels."""
    ids = np.zeros((len(texts), length), np.int32)
    labels = np.full((len(texts), length), IGNORED, np.int32)
    for row, text in enumerate(texts):
        last_ids = text.ids[-length:]
        is_target = np.concatenate([np.zeros(text.n_prefix, bool), text.is_target])[-length:]
        ids[row, : len(last_ids)] = last_ids
        labels[row, : len(last_ids)][is_target] = last_ids[is_target]
    return ids, labels
