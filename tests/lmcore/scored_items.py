"""Items scored by the engine at once, without a pipeline."""

from pathlib import Path

import pyarrow as pa

from lmcore.scoring.engine import Engine
from lmcore.tables import ITEMS, check, scoring_of


def score_items(
    model: Path, items: pa.Table, dtype: str = "float32", token_budget: int = 1024, **options
) -> pa.Table:
    """The TOKENS table of `items` (an items_table) by the model in the folder `model`.

    `options` are those of Engine.
    """
    check(items, ITEMS)
    return Engine(Path(model), scoring_of(items), dtype, token_budget, **options).score(items)
