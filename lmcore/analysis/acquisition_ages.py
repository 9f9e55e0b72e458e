"""The ages at which children acquire words, from a file of the user's.

The file goes in, a table of words (.csv or another suffix of lmcore.suites.records.SUFFIXES). The
age of each word, in months, comes out. It has the column `word`, and either `age`, or columns that
are named by months (16, 17, ...) with the share of children who know the word at that age, as
BabyLM's cdi_human.csv has them. An empty cell is a number that is not known.

Of shares, the age is that at which a fitted sigmoid crosses one half. A word without such a point
between the first and the last month has no age.

Source: compute_child_aoa of AoAEvaluator, evaluation_pipeline/utils.py of
babylm/evaluation-pipeline-2025; Frank et al. 2017, Wordbank, https://doi.org/10.1017/
S0305000916000209.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from lmcore.errors import InputError
from lmcore.suites.records import Row, read_records
from lmcore.text_files import described

FEWEST = 3  # shares of a word
MOST_EVALUATIONS = 1000  # of the sigmoid in one fit


def read_ages(path: Path) -> dict[str, float]:
    """{word: its age in months}, of the words that have one.

    Raises InputError for a file without these columns, a word that occurs twice, and a cell that is
    no number.
    """
    ages: dict[str, float] = {}
    seen: set[str] = set()
    for row in read_records(path):
        word = row["word"]
        if word in seen:
            raise InputError(f"{row.place('word')}: '{word}' occurs twice")
        seen.add(word)
        age = _age(row)
        if not math.isnan(age):
            ages[word] = age
    return ages


def _age(row: Row) -> float:
    """The age of one word, NaN where it is not known."""
    if "age" in row:
        return _number(row, "age")
    months = sorted((name for name in row if name.isdecimal()), key=int)
    if not months:
        raise InputError(
            f"{row.where}: no column 'age', and none named by months (16, 17, ...); columns are "
            f"{', '.join(row)}"
        )
    shares = [_number(row, month) for month in months]
    return age_at_half([int(month) for month in months], shares)


def _number(row: Row, column: str) -> float:
    """The number in a cell, NaN for an empty one. Raises InputError for anything else."""
    value = row.value(column)
    if value is None or value == "":
        return math.nan
    try:
        number = math.inf if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isinf(number) or number < 0:
        raise InputError(
            f"{row.place(column)} must be a number from 0 up or empty, not {described(value)}"
        )
    return number


def age_at_half(months: Sequence[int], shares: Sequence[float]) -> float:
    """The month at which half of the children know a word; NaN where the fit does not say.

    shares: from 0 to 1, NaN where a month has none.
    """
    known = ~np.isnan(shares)
    x, y = np.asarray(months, float)[known], np.asarray(shares, float)[known]
    if len(x) < FEWEST:
        return math.nan
    found = least_squares(
        lambda p: p[0] * expit(p[1] * (x - p[2])) + p[3] - y,
        [1.0, 0.1, x.mean(), 0.0],
        bounds=([0, 0, x[0], -0.5], [2.0, 1.0, x[-1], 0.5]),
        max_nfev=MOST_EVALUATIONS,
    )
    a, b, c, d = found.x.tolist()
    if not found.success or a <= 0 or b <= 0 or not d < 0.5 < a + d:
        return math.nan
    age = c - math.log(a / (0.5 - d) - 1) / b
    return age if x[0] <= age <= x[-1] else math.nan
