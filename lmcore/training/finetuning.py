"""Examples to fine-tune on, from a suite of kind choices: its items go in, token ids come out.

The right ending is the only target. The items that the pipeline evaluates are never trained on:
they are left out by their content, and what is left must not share a text with them either.
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
from lmcore.text.encoder import TextEncoder
from lmcore.training.loop import IGNORED, Examples


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
            f"finetune_model.{name}: its items are of kind {kind}; the right ending is known of kind choices"
        )
    table = table.filter(pc.and_(table["gold"], pc.equal(table["variant"], "")))
    for other in evaluated.values():
        is_evaluated = pc.is_in(table["content_hash"], other["content_hash"].combine_chunks())
        table = table.filter(pc.invert(is_evaluated))
    if not len(table):
        raise InputError(
            f"finetune_model.{name}: every item is evaluated; give its suite a `limit`, so that some are left to train on"
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
                    f"finetune_model.{name}: its item '{items[context + target]}' is evaluated as '{item}' of suite '{suite}'"
                )


def _texts(table: pa.Table) -> Iterator[tuple[str, str, str]]:
    """Item, context and target of each row."""
    columns = [table[key].to_pylist() for key in ("item", "context", "target")]
    return zip(*columns, strict=True)


def examples(
    model: Path, items: pa.Table, dev_share: float, seed: int
) -> tuple[Examples, Examples]:
    """(training, dev) examples of the items, tokenised as they are when scored; `dev_share` of them, drawn by the seed, are dev.

    A text longer than the model's window loses its beginning. Shorter ones are padded behind, where nothing sees it.
    """
    config = read_causal_config(model)
    texts = TextEncoder(
        model, config["vocab_size"], scoring_of(items)["bos"], "finetune_model"
    ).encode(items)
    length = min(context_length(config), max(len(text.ids) for text in texts))
    ids, labels = (
        np.zeros((len(texts), length), np.int32),
        np.full((len(texts), length), IGNORED, np.int32),
    )
    for row, text in enumerate(texts):
        kept = text.ids[-length:]
        targets = np.concatenate([np.zeros(text.n_prefix, bool), text.is_target])[-length:]
        ids[row, : len(kept)] = kept
        labels[row, : len(kept)][targets] = kept[targets]
    order = np.random.default_rng([seed, 2]).permutation(len(texts))
    n_dev = max(1, round(dev_share * len(texts)))
    if n_dev >= len(texts):
        raise InputError(
            f"finetune_model: {len(texts)} items are too few for a dev_share of {dev_share}"
        )
    dev, training = np.sort(order[:n_dev]), np.sort(order[n_dev:])
    return Examples(ids[training], labels[training]), Examples(ids[dev], labels[dev])
