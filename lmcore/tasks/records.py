"""Records from a data file: CSV, JSONL (also gzipped), Parquet or Arrow go in, one dict a row comes out, in the file's order."""

import gzip
import json
from pathlib import Path

from lmcore.errors import InputError

SUFFIXES = (".csv", ".jsonl", ".jsonl.gz", ".parquet", ".arrow")


def find(folder: Path, *suffixes: str) -> list[Path]:
    """The files of a source whose names end in one of `suffixes`, by name. Raises InputError where there are none."""
    files = sorted(path for path in folder.glob("*") if path.name.endswith(suffixes))
    if not files:
        raise InputError(f"{folder}: no file ending in {' or '.join(suffixes)}; does fetch_sources bring what this suite needs?")
    return files


def read_records(path: Path) -> list[dict]:
    """The rows of a .csv, .jsonl, .jsonl.gz, .parquet or .arrow file.

    Raises InputError for a missing file, an unknown suffix, and a row that cannot be read, naming its line.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected .csv, .jsonl, .jsonl.gz, .parquet or .arrow")
    try:
        if path.name.endswith((".jsonl", ".jsonl.gz")):
            return _jsonl(path)
        if path.suffix == ".csv":
            import pandas as pd

            return pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            return pq.read_table(path).to_pylist()
        if path.suffix == ".arrow":
            import pyarrow as pa

            with pa.memory_map(str(path)) as source:
                return pa.ipc.open_stream(source).read_all().to_pylist()
    except InputError:
        raise
    except ValueError as error:  # of pandas, pyarrow and the UTF-8 decoder alike
        raise InputError(f"{path}: not a readable {path.suffix[1:]} file: {str(error).splitlines()[0]}") from error
    raise InputError(f"{path}: unknown suffix '{path.suffix}'; expected .csv, .jsonl, .jsonl.gz, .parquet or .arrow")


def _jsonl(path: Path) -> list[dict]:
    records = []
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    record = json.loads(line)
                except json.JSONDecodeError as error:
                    raise InputError(f"{path}: line {number} is not JSON: {error.msg}") from error
                if not isinstance(record, dict):
                    raise InputError(f"{path}: line {number} must be a JSON object, not {type(record).__name__}")
                records.append(record)
    return records
