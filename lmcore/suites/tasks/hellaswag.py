"""HellaSwag's ActivityNet half: 3,243 validation items of SWAG's shape, with harder wrong endings.

An item is a caption, the beginning of the next caption, and four endings. The WikiHow half has
another shape and is left out. As in SWAG, nothing stands before the caption. Only under lm-eval's
conventions the activity stands there, as in lm-eval's hellaswag. Like lm-eval, we capitalise the
beginning of the next caption.

Source: Zellers et al. 2019, https://aclanthology.org/P19-1472; MIT.
"""

import re
from pathlib import Path

from lmcore.suites.conventions import DEFAULT, LM_EVAL, Convention
from lmcore.suites.records import Record, find, read_records


def activitynet(source: Path, *, convention: Convention = DEFAULT) -> list[Record]:
    """Records of kind choices from the validation split as Arrow or Parquet."""
    records = []
    for path in find(source, ".arrow", ".parquet"):
        for row in read_records(path):
            if not row["source_id"].startswith("activitynet"):
                continue
            context = f"{row['ctx_a']} {row['ctx_b'].capitalize()}"
            options = row.texts("endings")
            if convention in LM_EVAL:
                context = _cleaned(f"{row['activity_label']}: {context}")
                options = [_cleaned(ending) for ending in options]
            records.append(row.record(context=context, options=options, gold=row.label("label")))
    return records


def _cleaned(text: str) -> str:
    """The text without the marks in brackets that WikiHow's texts have.

    Source: lm_eval/tasks/hellaswag/utils.py (MIT).
    """
    return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")
