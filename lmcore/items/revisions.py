"""The two revisions of a diff as sides of sets of items: one set for each model on each suite.

The scores of a model in A and in B go in. Of a recipe, values and log-probs are means over its
models, and tokens are those of the first one. Alternatives are the first choice alone. Where a
revision's tokenizer is nowhere, tokens that stand in no text have only numbers.
"""

import tempfile
from functools import cache, partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lmcore.comparing.diff_results import Scores
from lmcore.errors import InputError
from lmcore.history.revisions import ITEMS, TOKENS
from lmcore.items.sides import SCORE_COLUMNS, TOKEN_COLUMNS, ItemSet, Side
from lmcore.suites.declare import kind_of
from lmcore.tables import ITEMS as ITEMS_SCHEMA
from lmcore.text.readable import token_texts
from lmcore.text.tokenizer import load_fast

MODELS = "data/models"


def revision_set(name: str, a: Scores, b: Scores) -> ItemSet:
    """The set of what a model, or a recipe, has in A and in B on one suite."""
    entry = (b.revision.params.get("suites") or {}).get(b.suite)
    return ItemSet(
        f"{name} on {b.suite}",
        kind_of(b.suite, entry),
        cache(partial(_common_items, a, b)),
        [_side(a), _side(b)],
    )


def _side(scores: Scores) -> Side:
    return Side(
        scores.revision.name,
        partial(_score_rows, scores),
        partial(_token_rows, scores),
        cache(partial(_token_texts, scores)),
    )


def _common_items(a: Scores, b: Scores) -> pa.Table:
    """The rows of B's items whose content is the same in A."""
    path = f"{ITEMS}/{b.suite}.parquet"
    of_a = a.revision.table(path, ["content_hash"])["content_hash"]
    table = b.revision.table(path, ITEMS_SCHEMA.names)
    same = table.filter(pc.is_in(table["content_hash"], pc.unique(of_a)))
    return same.cast(pa.schema(ITEMS_SCHEMA))


def _score_rows(scores: Scores, metrics: list[str]) -> pa.Table:
    """The rows of these metrics under all models."""
    tables = []
    for path in scores.paths():
        table = scores.revision.table(path, SCORE_COLUMNS)
        names = table["metric"].cast(pa.string())
        tables.append(table.filter(pc.is_in(names, pa.array(metrics))))
    return _plain(pa.concat_tables([_plain(table) for table in tables]))


def _token_rows(scores: Scores, items: list[str]) -> pa.Table:
    """The token rows of these items; the draws of the models are numbered one behind the other."""
    tables: list[pa.Table] = []
    n_draws = 0
    for model in scores.models:
        parts = []
        for path in scores.revision.files(f"{TOKENS}/{model}/{scores.suite}"):
            table = scores.revision.table(path, TOKEN_COLUMNS)
            is_wanted = pc.is_in(table["item"].cast(pa.string()), pa.array(items))
            parts.append(_plain(table.filter(is_wanted)))
        of_model = pa.concat_tables(parts)
        draw = pc.add(of_model["draw"].cast(pa.int64()), n_draws)
        place = of_model.column_names.index("draw")
        tables.append(of_model.set_column(place, "draw", draw))
        n_draws = 1 + (pc.max(draw).as_py() or 0)
    return pa.concat_tables(tables)


def _plain(table: pa.Table) -> pa.Table:
    """The table with plain strings, so that tables can be joined and grouped."""
    fields = []
    for field in table.schema:
        is_dictionary = pa.types.is_dictionary(field.type)
        fields.append(pa.field(field.name, pa.string()) if is_dictionary else field)
    return table.cast(pa.schema(fields))


def _token_texts(scores: Scores) -> list[str]:
    """The texts of the first model's ids; none where its tokenizer is nowhere."""
    folder = f"{MODELS}/{scores.models[0]}"
    try:
        files = [path for path in scores.revision.files(folder) if path.endswith(".json")]
        with tempfile.TemporaryDirectory() as scratch:
            for path in files:
                (Path(scratch) / Path(path).name).write_bytes(scores.revision.read(path))
            return token_texts(load_fast(Path(scratch)))
    except InputError:
        return []
