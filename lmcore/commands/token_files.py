"""Token tables as CSV files for other programs, one for each text.

A token table goes in. A folder of CSV files comes out, each with the columns `current_token`,
`next_token`, `entropy` (in nats) and `probability_of_next_token`, and a row for each scored or
generated token. all.csv has the tokens of all texts, text after text. text_00000.csv has those of
the first text, and prompt_0000.csv what was written after the first prompt. With several samples or
draws of one text each has a file: prompt_0000_sample_1.csv. A text without a scored token has a
file with the header alone.

Tokens are written as in lmcore.text.readable. `pandas.read_csv` reads the files as they are, but
takes a token such as `NA` for a missing value, and a file whose tokens are all digits for numbers.
`pandas.read_csv(path, keep_default_na=False, dtype={"current_token": str, "next_token": str})`
gives back every token.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from lmcore.analysis.rows import parts_of
from lmcore.commands.token_rows import READABLE, readable_rows
from lmcore.errors import InputError

NAMES = ["current_token", "next_token", "entropy", "probability_of_next_token"]
SCHEMA = pa.schema([READABLE.field(name) for name in NAMES])
HEADER = ",".join(f'"{name}"' for name in NAMES)
ALL = "all.csv"


def write_token_files(tokens: Path, texts: list[str], items: Iterable[str], folder: Path) -> None:
    """Write the CSV files of one model's table at `tokens` to the folder `folder`.

    `texts` are those of the model's ids (see lmcore.text.readable.token_texts), and `items` the ids
    of all items of the table, also of those without a token.
    """
    folder.mkdir(parents=True)
    kind, numbers = _samples(tokens)
    n_samples = 1 + int(numbers.max(initial=0))
    unwritten: dict[tuple[str, int], Path] = {}
    for item in items:
        for number in range(n_samples):
            suffix = f"_{kind}_{number}" if n_samples > 1 else ""
            unwritten[item, number] = folder / f"{item.replace('/', '_')}{suffix}.csv"
    text, n_read = None, 0
    with pyarrow.csv.CSVWriter(folder / ALL, SCHEMA) as of_all, ExitStack() as of_text:
        for batch in readable_rows(tokens, texts):
            rows = batch.select(NAMES)
            of_all.write_batch(rows)
            of_batch = numbers[n_read : n_read + len(rows)]
            n_read += len(rows)
            for start, end in _runs(batch.column("item"), of_batch):
                text_of_run = (batch.column("item")[start].as_py(), int(of_batch[start]))
                if text_of_run != text:
                    text = text_of_run
                    of_text.close()
                    path = unwritten.pop(text)
                    writer = of_text.enter_context(pyarrow.csv.CSVWriter(path, SCHEMA))
                writer.write_batch(rows.slice(start, end - start))
    for path in unwritten.values():
        path.write_text(f"{HEADER}\n", "utf-8")


def _samples(tokens: Path) -> tuple[str, np.ndarray]:
    """What tells apart a text's rows in the table, `sample` or `draw`, and its numbers (rows,)."""
    parts = parts_of(tokens)
    kind = "sample" if "sample" in pq.read_schema(parts[0]).names else "draw"
    columns = [pq.read_table(part, columns=[kind])[kind].to_numpy() for part in parts]
    return kind, np.concatenate(columns)


def _runs(items: pa.Array, numbers: np.ndarray) -> list[tuple[int, int]]:
    """The runs of rows of one text, each as its first row and the row after its last."""
    ids = items.dictionary_encode().indices.to_numpy()
    is_first = (ids[1:] != ids[:-1]) | (numbers[1:] != numbers[:-1])
    bounds = [0, *(1 + np.flatnonzero(is_first)).tolist(), len(ids)]
    return list(pairwise(bounds))


def refuse_csv_folder(csv: Path, out: Path, force: bool) -> None:
    """Raises InputError where the folder `csv` must not be written.

    It may not hold `out`, or lie in it, since each is replaced as a whole. Where it exists, it is
    overwritten only with `force`, and only if it holds nothing but files of `write_token_files`.
    """
    folder, other = csv.resolve(), out.resolve()
    if folder == other or folder in other.parents or other in folder.parents:
        raise InputError(f"--csv: {csv} and the folder of --out, {out}, must lie side by side")
    if not csv.exists() and not csv.is_symlink():
        return
    if not force:
        raise InputError(f"{csv}: exists already; use --force to overwrite it")
    if csv.is_symlink() or not csv.is_dir() or not all(map(_is_own, csv.rglob("*"))):
        raise InputError(f"{csv}: is no folder that this command wrote; remove it yourself")


def _is_own(path: Path) -> bool:
    """Whether `write_token_files` may have written this file, or made this folder."""
    if path.is_symlink():
        return False
    if path.is_dir():
        return True
    with path.open("rb") as file:
        return path.suffix == ".csv" and file.readline().rstrip() == HEADER.encode()
