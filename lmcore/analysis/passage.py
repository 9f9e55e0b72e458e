"""One passage token by token under every model, for a page that colours it.

The token rows of one item go in, PASSAGE rows come out.
"""

import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.analysis.by_token import text_of
from lmcore.tables import check, parts_of

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
    """The first `n_chars` characters of an item's right option under draw 0 of each model.

    The item is the first one unless it is named.

    texts: the token texts of each model, for the alternatives. There are as many alternatives as
    the table holds (scoring `top_k`), else the first choice alone.
    """
    gold = items.filter(pc.and_(items["gold"], pc.equal(items["variant"], "")))
    chosen = gold.slice(0, 1) if item is None else gold.filter(pc.equal(gold["item"], item))
    name, option = chosen["item"][0].as_py(), chosen["option"][0].as_py()
    text = chosen["context"][0].as_py() + chosen["target"][0].as_py()
    rows = []
    for model, path in tokens.items():
        n_shown = 0  # characters that the tokens so far have added
        for token in _tokens_of(path, name, option):
            if token["start"] >= n_chars:
                break
            rows.append(
                {
                    "suite": suite,
                    "item": name,
                    "model": model,
                    "position": token["position"],
                    "text": text[n_shown : token["end"]],
                    "surprisal": -token["logprob"] / math.log(2),
                    "entropy": token["entropy"],
                    "rank": token["rank"],
                    "alternatives": _alternatives(token, texts[model]),
                }
            )
            n_shown = max(n_shown, token["end"])
    return check(pa.Table.from_pylist(rows, PASSAGE), PASSAGE)


def _alternatives(token: dict, texts: list[str]) -> str:
    """JSON: [token, probability] of the model's first choices in place of this token."""
    ids = token.get("top_ids", [token["top_id"]])
    logprobs = token.get("top_logprobs", [token["top_logprob"]])
    alternatives = [
        [text_of(texts, number), round(math.exp(logprob), 4)]
        for number, logprob in zip(ids, logprobs)
    ]
    return json.dumps(alternatives, ensure_ascii=False)


def _tokens_of(path: Path, item: str, option: int) -> list[dict]:
    """The token rows of one text; the shards' statistics say which shards need not be read."""
    for part in parts_of(path):
        known = pq.read_schema(part).names
        optional = [name for name in ("top_ids", "top_logprobs") if name in known]
        table = pq.read_table(
            part, columns=COLUMNS + optional, partitioning=None, filters=[("item", "==", item)]
        )
        mask = pc.and_(pc.equal(table["option"], option), pc.equal(table["draw"], 0))
        table = table.filter(pc.and_(mask, pc.equal(table["variant"].cast(pa.string()), "")))
        if table.num_rows:
            return table.sort_by("position").to_pylist()
    return []
