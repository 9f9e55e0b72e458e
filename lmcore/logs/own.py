"""lmcore's own tables of a model, as Evaluations with the options of every item.

Items and tokens of the pipeline go in. Only suites whose items have several options are read.
"""

from pathlib import Path

import pyarrow.compute as pc

from lmcore.errors import InputError
from lmcore.folds.by_text import COLUMNS, TextStats, text_stats
from lmcore.folds.runs import runs_of_items
from lmcore.logs.evaluation import Evaluation, Item, Options
from lmcore.tables import CLUSTER, ITEMS, read

TOOL = "lmcore"


def read_model(model: str, data: Path) -> list[Evaluation]:
    """The evaluations of a model, one for each suite whose items have several options.

    Of a random model, the first draw is read. Raises InputError where the model has no tokens, or
    no such suite.
    """
    folder = data / "tokens" / model
    if not folder.is_dir():
        there = sorted(path.name for path in (data / "tokens").glob("*") if path.is_dir())
        raise InputError(
            f"{model}: is no log, and no model with tokens in {data / 'tokens'}; there are"
            f" {', '.join(there) or 'none'}"
        )
    evaluations = []
    for tokens in sorted(path for path in folder.iterdir() if path.is_dir()):
        items = data / "items" / f"{tokens.name}.parquet"
        if pc.max(read(items, ITEMS, ["option"])["option"]).as_py():
            evaluations.append(_evaluation(model, tokens, items))
    if not evaluations:
        raise InputError(f"{folder}: no suite whose items have several options")
    return evaluations


def _evaluation(model: str, tokens: Path, items: Path) -> Evaluation:
    """The evaluation of one suite."""
    logged: list[Item] = []
    for run in runs_of_items(items, tokens, COLUMNS):
        logged += _items(text_stats(run.items, run.tokens, tokens, run.whole))
    return Evaluation(TOOL, model, tokens.name, tokens, logged, dtype="float32")


def _items(texts: TextStats) -> list[Item]:
    """The items of which these are the texts."""
    logprobs = texts.by_option(texts.logprob)[0].tolist()
    n_tokens = texts.by_option(texts.n_tokens)[0].astype(int).tolist()
    rows = texts.table.to_pylist()
    logged = []
    for number, places in enumerate(texts.rows[""].tolist()):
        first = rows[places[0]]
        options = [rows[place]["context"] + rows[place]["target"] for place in places]
        gold = [int(texts.gold[number])]
        logged.append(
            Item(
                id=first["item"],
                content=str(first["content_hash"]),
                values={},
                group=first["group"],
                options=Options(options, logprobs[number], gold, n_tokens[number]),
                cluster=first.get(CLUSTER, ""),
            )
        )
    return logged
