"""What this project says of the same documents: raw files of a source go in, the real modules give log-probs, decisions and metrics."""

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
from lmcore.scoring.engine import score_items
from lmcore.suites.build import build_suite
from lmcore.suites.conventions import convention_of
from lmcore.suites.declare import TASKS, classes_of, kind_of


class Scored(NamedTuple):
    """logprobs: (items, options) of the targets; scores: {metric: [an item]}; both in the order of the items."""

    items: pa.Table
    tokens: pa.Table
    logprobs: list[list[float]]
    scores: dict[str, list[float]]
    metrics: dict


def write_source(folder: Path, documents: list[dict], suffix: str, name: str = "documents") -> Path:
    """`folder`/documents.SUFFIX in one of the layouts that sources have."""
    folder.mkdir(parents=True, exist_ok=True)
    path, table = folder / f"{name}.{suffix}", pa.Table.from_pylist(documents)
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(document) + "\n" for document in documents), "utf-8")
    elif suffix == "txt":
        path.write_text("".join(document["text"] + "\n" for document in documents), "utf-8")
    elif suffix == "requests.jsonl.gz":
        split = [document["text"].rpartition(" ") for document in documents]
        lines = [
            json.dumps({"request": {"context": context, "continuation": space + word}})
            for context, space, word in split
        ]
        (folder / suffix).write_bytes(gzip.compress("\n".join(lines).encode()))
    elif suffix == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    return folder


def build(suite: str, entry: dict, sources: Path) -> pa.Table:
    """The suite's items; of a task the published numbers are not asked for, since a sample has fewer."""
    name = entry.get("task", suite)
    with pytest.MonkeyPatch.context() as patch:
        if name in TASKS:
            patch.setitem(TASKS, name, TASKS[name]._replace(n_items=None, n_groups=None))
        return build_suite(suite, entry, sources, sources)


def by_lmcore(model: Path, suite: str, entry: dict, items: pa.Table) -> Scored:
    """Every text scored by the engine and folded as the pipeline does it."""
    config, kind = read_config(model), kind_of(suite, entry)
    tokens = score_items(model, items)
    texts = text_stats(items, tokens, suite)
    scores = fold(
        items,
        tokens,
        kind=kind,
        ties=convention_of(suite, entry)["ties"],
        top_k=10,
        vocab_size=config["vocab_size"],
        window=window_of(items, config),
        source=suite,
        classes=classes_of(suite, entry, kind),
    )
    by_metric: dict[str, list[float]] = {}
    for row in scores.to_pylist():
        by_metric.setdefault(row["metric"], []).append(row["value"])
    return Scored(
        items,
        tokens,
        texts.by_option(texts.logprob)[0].tolist(),
        by_metric,
        suite_metrics(scores, 0.95, classes_of(suite, entry, kind))[0],
    )
