"""What lmcore says of the documents that the peers get.

Raw files of a source go in. The real modules give log-probs, decisions and metrics.
"""

import gzip
import json
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.folds.by_text import text_stats
from lmcore.folds.fold import fold, window_of
from lmcore.folds.metrics import suite_metrics
from lmcore.models.folder import read_config
from lmcore.suites.build import build_suite
from lmcore.suites.conventions import convention_of
from lmcore.suites.declare import TASKS, classes_of, kind_of
from tests.lmcore.scored_items import score_items


class Scored(NamedTuple):
    """What lmcore says of a suite.

    `logprobs` are (items, options), of the targets. `scores` are {metric: one value an item}.
    Both are in the order of the items.
    """

    items: pa.Table
    tokens: pa.Table
    logprobs: list[list[float]]
    scores: dict[str, list[float]]
    metrics: dict


def write_source(folder: Path, documents: list[dict], suffix: str, name: str = "documents") -> Path:
    """Write the documents in one of the layouts that sources have, and return `folder`.

    The file is `folder`/NAME.SUFFIX. For the suffix `requests.jsonl.gz` it has no NAME.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.{suffix}"
    table = pa.Table.from_pylist(documents)
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(document) + "\n" for document in documents), "utf-8")
    elif suffix == "txt":
        path.write_text("".join(document["text"] + "\n" for document in documents), "utf-8")
    elif suffix == "requests.jsonl.gz":
        lines = []
        for document in documents:
            context, space, word = document["text"].rpartition(" ")
            request = {"context": context, "continuation": space + word}
            lines.append(json.dumps({"request": request}))
        (folder / suffix).write_bytes(gzip.compress("\n".join(lines).encode()))
    elif suffix == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    return folder


def build(suite: str, entry: dict, sources: Path) -> pa.Table:
    """The items of a suite.

    The published numbers of items and groups are not required of a task, since a sample has fewer.
    """
    name = entry.get("task", suite)
    with pytest.MonkeyPatch.context() as patch:
        if name in TASKS:
            patch.setitem(TASKS, name, TASKS[name]._replace(n_items=None, n_groups=None))
        return build_suite(suite, entry, sources, sources)


def by_lmcore(model: Path, suite: str, entry: dict, items: pa.Table) -> Scored:
    """Score every text with the engine, and fold the scores as the pipeline does."""
    config = read_config(model)
    kind = kind_of(suite, entry)
    classes = classes_of(suite, entry, kind)
    tokens = score_items(model, items)
    texts = text_stats(items, tokens, suite)
    scores = fold(
        texts,
        kind=kind,
        ties=convention_of(suite, entry)["ties"],
        top_k=10,
        vocab_size=config["vocab_size"],
        window=window_of(items, config),
        source=suite,
        classes=classes,
    )
    by_metric: dict[str, list[float]] = {}
    for row in scores.to_pylist():
        by_metric.setdefault(row["metric"], []).append(row["value"])
    return Scored(
        items,
        tokens,
        texts.by_option(texts.logprob)[0].tolist(),
        by_metric,
        suite_metrics(scores, 0.95, classes)[0],
    )
