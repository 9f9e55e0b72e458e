"""Reading times: is a word that surprises the model read slowly?

1,726 words of 205 sentences, with the times of eye tracking and of self-paced reading. The folds
say how much surprisal adds to a regression of these times (lmcore.folds.reading).

Source: de Varda, Marelli & Amenta 2023, Cloze probability, predictability ratings, and
computational estimates for 205 English sentences, Behavior Research Methods,
https://github.com/Andrea-de-Varda/prediction-resource; the times of Frank et al. 2013. The file is
`reading/reading_data.csv` of the BabyLM evaluation of 2025 and 2026, which is read as
evaluation_pipeline/reading/run.py of babylm/evaluation-pipeline-2025 reads it:

- A first word "None" is an empty field there, and the word before it is missing.
- `prev_word` is missing for the second word of each sentence, as the first has no context.

The frequency of a previous word, which the file lacks, is that of the same word elsewhere in it,
without its punctuation.
"""

from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.suites.readings import EYE_TRACKING, SELF_PACED
from lmcore.suites.records import Record, Row, find, read_records
from lmcore.text_files import described

THEIRS = {
    **dict(zip(EYE_TRACKING, ("RTfirstfix", "RTfirstpass", "RTgopast", "RTrightbound"))),
    SELF_PACED: "self_paced_reading_time",
    "frequency": "Subtlex_log10",
    "length": "length",
    "context_length": "context_length",
    "previous_length": "prev_length",
}
NONE = "None"  # pandas reads this word as a missing value


def build(source: Path) -> list[Record]:
    """Records of kind reading from the CSV file, in its order; a sentence is a cluster."""
    rows = []
    for path in find(source, ".csv"):
        rows += read_records(path)
    frequencies = _frequencies(rows)
    return [_record(row, frequencies) for row in rows]


def _record(row: Row, frequencies: dict[str, float]) -> Record:
    numbers = {ours: _number(row, theirs) for ours, theirs in THEIRS.items()}
    context, word = row["item"] or NONE, row["word"]
    previous: dict[str, Any] = {"previous_length": None}
    if row["prev_item"] not in ("", NONE):
        previous = {
            "previous_context": row["prev_item"],
            "previous_word": row["prev_word"],
            "previous_length": numbers["previous_length"],
            "previous_frequency": frequencies.get(_form(row["prev_word"])),
        }
    return row.record(
        **{**numbers, "context": context, "word": word, "cluster": row["sent_id"], **previous}
    )


def _frequencies(rows: list[Row]) -> dict[str, float]:
    """The frequency of each word form that has one."""
    frequencies: dict[str, float] = {}
    for row in rows:
        frequency = _number(row, THEIRS["frequency"])
        if frequency is not None:
            frequencies.setdefault(_form(row["word"]), frequency)
    return frequencies


def _form(word: str) -> str:
    return word.strip(".,;:!?\"'").lower()


def _number(row: Row, column: str) -> float | None:
    """The number in a column, None for an empty field. Raises InputError for anything else."""
    text = row[column]
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"{row.place(column)} must be a number or empty, not {described(text)}"
        ) from None
