"""The report's section on what models write.

The tables and statistics of lmcore.generating.continuations go in, HTML comes out.
"""

import json
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from lmcore.report.layout import macros
from lmcore.tables import GENERATIONS, read

# for each statistic of metrics/generated: what its column is called, and its decimals
STATISTICS = {
    "logprob": ("log-prob of a token, nats", 2),
    "entropy": ("entropy, nats", 2),
    "sampling_entropy": ("entropy of what was drawn from", 2),
    "distinct_1": ("distinct words", 2),
    "distinct_2": ("distinct pairs", 2),
    "repeated_3": ("repeated threes", 2),
}


class Written(NamedTuple):
    """The statistics of one model's texts under one decoding."""

    model: str
    decoding: str
    numbers: list[str]  # by STATISTICS


def writing_section(models: list[str], generated: Path, statistics: Path) -> Markup:
    """A table of `statistics`/MODEL.json, with a row for each model and decoding, and the texts.

    The texts of `generated`/MODEL/generations.parquet stand below the table. The section is empty
    without models.
    """
    if not models:
        return Markup("")
    rows, texts = [], {}
    for model in models:
        by_decoding = json.loads((statistics / f"{model}.json").read_text("utf-8"))
        for decoding, values in by_decoding.items():
            shown = [f"{values[name]:.{digits}f}" for name, (_, digits) in STATISTICS.items()]
            rows.append(Written(model, decoding, shown))
        texts[model] = read(generated / model / "generations.parquet", GENERATIONS).to_pylist()
    heads = [title for title, _ in STATISTICS.values()]
    return macros(__name__).writing_section(heads, rows, texts)
