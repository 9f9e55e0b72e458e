"""One passage token by token under every model, for a page that colours it: token rows of one item go in, PASSAGE rows come out."""

import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.analysis.by_token import text_of
from lmcore.analysis.rows import parts_of
from lmcore.tables import check

PASSAGE = pa.schema(
    {
        "suite": pa.string(),
        "item": pa.string(),
        "model": pa.string(),
        "position": pa.int32(),
        "text": pa.string(),  # the characters that the token adds to the passage
        "surprisal": pa.float64(),  # bits
        "entropy": pa.float64(),  # nats
        "rank": pa.int32(),
        "alternatives": pa.string(),  # JSON: [token, probability] of the model's first choices
    }
)
COLUMNS = [
    "item",
    "draw",
    "option",
    "variant",
    "position",
    "start",
    "end",
    "logprob",
    "entropy",
    "rank",
    "top_id",
    "top_logprob",
]


def passage(
    items: pa.Table,
    tokens: dict[str, Path],
    texts: dict[str, list[str]],
    suite: str,
    n_chars: int,
    item: str | None = None,
) -> pa.Table:
    """The first `n_chars` characters of an item's right option (of the first item, unless named) under each model's draw 0.

    `texts`: each model's token texts, for the alternatives: as many as the table holds (scoring `top_k`), else the first choice.
    """
    gold = items.filter(pc.and_(items["gold"], pc.equal(items["variant"], "")))
    row = gold.slice(0, 1) if item is None else gold.filter(pc.equal(gold["item"], item))
    name, option, text = (
        row["item"][0].as_py(),
        row["option"][0].as_py(),
        row["context"][0].as_py() + row["target"][0].as_py(),
    )
    found = []
    for model, path in tokens.items():
        shown = 0
        for token in _rows_of(path, name, option):
            if token["start"] >= n_chars:
                break
            pairs = zip(
                token.get("top_ids", [token["top_id"]]),
                token.get("top_logprobs", [token["top_logprob"]]),
            )
            alternatives = [
                [text_of(texts[model], number), round(math.exp(logprob), 4)]
                for number, logprob in pairs
            ]
            found.append(
                {
                    "suite": suite,
                    "item": name,
                    "model": model,
                    "position": token["position"],
                    "text": text[shown : token["end"]],
                    "surprisal": -token["logprob"] / math.log(2),
                    "entropy": token["entropy"],
                    "rank": token["rank"],
                    "alternatives": json.dumps(alternatives, ensure_ascii=False),
                }
            )
            shown = max(shown, token["end"])
    return check(pa.Table.from_pylist(found, PASSAGE), PASSAGE)


def _rows_of(path: Path, item: str, option: int) -> list[dict]:
    """The token rows of one text, found by the shards' statistics without reading the others."""
    for part in parts_of(path):
        optional = [
            name for name in ("top_ids", "top_logprobs") if name in pq.read_schema(part).names
        ]
        table = pq.read_table(
            part, columns=COLUMNS + optional, partitioning=None, filters=[("item", "==", item)]
        )
        mask = pc.and_(pc.equal(table["option"], option), pc.equal(table["draw"], 0))
        table = table.filter(pc.and_(mask, pc.equal(table["variant"].cast(pa.string()), "")))
        if table.num_rows:
            return table.sort_by("position").to_pylist()
    return []
