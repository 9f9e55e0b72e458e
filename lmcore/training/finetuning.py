"""Examples to fine-tune on, from a suite of kind choices: its items go in, token ids and labels come out, the right ending the only target.

The items that the pipeline evaluates are never trained on: they are left out by their content, and what is left must not share a text with
them either.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.errors import InputError
from lmcore.models.load import context_length, read_causal_config
from lmcore.scoring.texts import TextEncoder
from lmcore.tables import ITEMS, read, scoring_of
from lmcore.tasks.suite import build_suite, kind_of, subset
from lmcore.training.loop import IGNORED, Examples


def training_items(name: str, entry: dict, suites: list[str], items: Path, sources: Path, corpus: Path) -> pa.Table:
    """The right options of a suite's `entry`, `limit` of them, without the items of the evaluated `suites` in the folder `items`.

    Raises InputError for a suite that is not of kind choices, for one with nothing left, and where an evaluated suite holds a text of it
    under another convention.
    """
    if (kind := kind_of(name, entry)) != "choices":
        raise InputError(f"finetune_model.{name}: its items are of kind {kind}; the right ending is known of kind choices")
    table = build_suite(name, {key: value for key, value in entry.items() if key not in ("limit", "seed")}, sources, corpus)
    table = table.filter(pc.and_(table["gold"], pc.equal(table["variant"], "")))
    tables = {suite: read(items / f"{suite}.parquet", ITEMS) for suite in suites}
    evaluated = {number for other in tables.values() for number in other["content_hash"].to_pylist()}
    table = table.filter(pa.array([number not in evaluated for number in table["content_hash"].to_pylist()], pa.bool_()))
    if not len(table):
        raise InputError(f"finetune_model.{name}: every item is evaluated; give its suite a `limit`, so that some are left to train on")
    texts = {context + target: item for item, context, target in zip(*(table[key].to_pylist() for key in ("item", "context", "target")))}
    for suite, other in tables.items():
        for item, context, target in zip(*(other[key].to_pylist() for key in ("item", "context", "target"))):
            if context and context + target in texts:
                raise InputError(f"finetune_model.{name}: its item '{texts[context + target]}' is evaluated as '{item}' of suite '{suite}'")
    if entry.get("limit") is not None:
        rows = [{"item": item, "group": group} for item, group in zip(table["item"].to_pylist(), table["group"].to_pylist())]
        chosen = subset(rows, name, entry["limit"], entry.get("seed", 0))
        table = table.filter(pa.array([item in chosen for item in table["item"].to_pylist()]))
    return table


def examples(model: Path, items: pa.Table, dev_share: float, seed: int) -> tuple[Examples, Examples]:
    """(training, dev) examples of the items, tokenised as they are when scored; `dev_share` of them, drawn by the seed, are dev.

    A text longer than the model's window loses its beginning. Shorter ones are padded behind, where nothing sees it.
    """
    config = read_causal_config(model)
    texts = TextEncoder(model, config["vocab_size"], scoring_of(items)["bos"], "finetune_model").encode(items)
    length = min(context_length(config), max(len(text.ids) for text in texts))
    ids, labels = np.zeros((len(texts), length), np.int32), np.full((len(texts), length), IGNORED, np.int32)
    for row, text in enumerate(texts):
        kept = text.ids[-length:]
        targets = np.concatenate([np.zeros(text.n_prefix, bool), text.is_target])[-length:]
        ids[row, : len(kept)] = kept
        labels[row, : len(kept)][targets] = kept[targets]
    order = np.random.default_rng([seed, 2]).permutation(len(texts))
    n_dev = max(1, round(dev_share * len(texts)))
    if n_dev >= len(texts):
        raise InputError(f"finetune_model: {len(texts)} items are too few for a dev_share of {dev_share}")
    dev, training = np.sort(order[:n_dev]), np.sort(order[n_dev:])
    return Examples(ids[training], labels[training]), Examples(ids[dev], labels[dev])
