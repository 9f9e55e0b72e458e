"""From params' `suites` to items tables, the only module that runs tasks.

An entry names a task, or a kind and a data file of the user's own; see lmcore.suites.declare.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.params.schema import check, kinds_of
from lmcore.shown import for_terminal
from lmcore.suites.builders import BUILDERS
from lmcore.suites.conventions import LM_EVAL, bos_of, convention_of
from lmcore.suites.declare import (
    CORPUS,
    TASKS,
    classes_of,
    declared_subset,
    entry_of,
    kind_of,
    suites_of,
    task_of,
)
from lmcore.suites.kinds import identical_options, item_rows, ratio_of, readings_of
from lmcore.suites.records import SUFFIXES, MissingColumn, Record, find, read_records
from lmcore.suites.shots import Shots, shots_of
from lmcore.suites.subset import subset
from lmcore.tables import ITEMS, items_table, write

# what only a task says of its records; in one's own file a column like any other
TASKS_ALONE = ("variants", "words", "bytes")


def options_of(task: str) -> Any:
    """The schema of a task's own options: the keywords of its builder."""
    return BUILDERS[task]


BuildableSuites = suites_of(options_of)


class Read(NamedTuple):
    """The records of a suite, and the name of the file or folder they come from."""

    kind: str
    records: Sequence[dict]
    source: str


def build_items(suites: dict[str, dict], sources: Path, corpus: Path, out: Path) -> None:
    """Write `out`/SUITE.parquet for every entry of `suites`, all or none.

    `sources` holds a folder per source.
    """
    tables = {}
    for suite, entry in suites.items():
        tables[suite] = build_suite(suite, entry, sources, corpus)
    with whole(out) as folder:
        folder.mkdir()
        for suite, table in tables.items():
            write(table, ITEMS, folder / f"{suite}.parquet")


def build_suite(suite: str, entry: dict | None, sources: Path, corpus: Path) -> pa.Table:
    """The items table of one entry of params' suites, whose keys lmcore.suites.declare explains.

    Its metadata say what the engine must know (`lmcore.tables.scoring_of`). Raises InputError for
    an unknown key, task or kind, and for numbers of items or groups other than the published ones,
    or for another number of items than the entry's `items` says.
    """
    entry = entry or {}
    check(entry, entry_of(suite, options_of), f"suite '{suite}'")
    read = _read(suite, entry, sources, corpus)
    if task := task_of(suite, entry):
        _check_numbers(read.source, task, entry.get("items"), read.records)
    convention = convention_of(suite, entry)
    others = None
    if "shots_path" in entry:
        if "shots" in _own_options(suite, entry):
            raise InputError(f"suite '{suite}': task {task} draws its shots without shots_path")
        others = _read(suite, {**entry, "path": entry["shots_path"]}, sources, corpus)
    rows = _rows(suite, entry, convention, read, others)
    lengths = _lengths(rows, read.records) if read.kind == "text" else {}
    ratios = _ratios(rows, read.records) if read.kind == "graded" else {}
    readings = _readings(rows, read.records) if read.kind == "reading" else {}
    _check_classes(suite, entry, read.kind, rows)
    if entry.get("limit") is not None:
        chosen = subset(rows, suite, entry["limit"], entry.get("seed", 0))
        rows = [row for row in rows if row["item"] in chosen]
    if read.kind != "reading":  # there, the word stands twice where no word is before it
        _say_identical(suite, rows)
    scoring = {**(entry.get("scoring") or {}), "bos": bos_of(convention, rows, read.source)}
    if declared_subset(suite, entry):
        scoring["subset_of"] = TASKS[task].n_items
    items = sorted({row["item"] for row in rows})
    if lengths:
        scoring["lengths"] = {item: lengths[item] for item in items}
    if ratios:
        scoring["ratios"] = {item: ratios[item] for item in items}
    if readings:
        scoring["readings"] = {item: readings[item] for item in items}
        if convention["tokenisation"] == "separate":
            scoring["tokenisation"] = "separate"
    return items_table(rows, scoring, f"suite '{suite}'")


def _rows(suite: str, entry: dict, convention: dict, read: Read, others: Read | None) -> list[dict]:
    """The rows of the items table, without the items that are worked examples.

    `others` are the records that the examples are drawn from, if not the suite's own.
    """
    spacing = {
        "leading_space": convention["leading_space"],
        "as_lm_eval": entry.get("convention") in LM_EVAL,
    }
    shots = Shots({}, set())
    # some tasks have shots of their own
    if entry.get("shots") and "shots" not in _own_options(suite, entry):
        shots = shots_of(
            read.kind,
            (read.records, read.source),
            (others.records, others.source) if others else None,
            n=entry["shots"],
            seed=entry.get("seed", 0),
            suite=suite,
            spacing=spacing,
        )
    rows = item_rows(
        read.kind,
        read.records,
        suite=suite,
        ending_alone=entry.get("ending_alone", False),
        source=read.source,
        shots=shots.texts,
        separate=read.kind == "reading" and convention["tokenisation"] == "separate",
        **spacing,
    )
    return [row for row in rows if row["item"] not in shots.apart]


def _own_options(suite: str, entry: dict) -> Any:
    """The names of the options that a suite's task itself has."""
    task = task_of(suite, entry)
    return kinds_of(BUILDERS[task]) if task else ()


def _lengths(rows: list[dict], records: Sequence[dict]) -> dict[str, list[int]]:
    """Words and bytes of texts that were counted before they were detokenised, by item."""
    return {
        row["item"]: [record["words"], record["bytes"]]
        for row, record in zip(rows, records)
        if "words" in record and "bytes" in record
    }


def _ratios(rows: list[dict], records: Sequence[dict]) -> dict[str, float]:
    """The share of people who prefer the first text, by item."""
    first_rows = [row for row in rows if row["option"] == 0]
    ratios = {}
    for row, record in zip(first_rows, records, strict=True):
        ratios[row["item"]] = ratio_of(record, f"item '{row['item']}'")
    return ratios


def _readings(rows: list[dict], records: Sequence[dict]) -> dict[str, list[float | None]]:
    """The numbers of each word (see lmcore.suites.readings), by item."""
    first_rows = [row for row in rows if row["option"] == 0]
    readings = {}
    for row, record in zip(first_rows, records, strict=True):
        readings[row["item"]] = readings_of(record, f"item '{row['item']}'")
    return readings


def _check_classes(suite: str, entry: dict, kind: str, rows: list[dict]) -> None:
    classes = classes_of(suite, entry, kind)
    if kind == "choices" and classes:
        n_options = 1 + max(row["option"] for row in rows)
        if len(classes) != n_options:
            raise InputError(
                f"suite '{suite}': classes has {len(classes)} names, but an item has {n_options}"
                " options; expected one name for each option"
            )


def _say_identical(suite: str, rows: list[dict]) -> None:
    if identical := identical_options(rows):
        said = (
            f"{suite}: {len(identical)} items have two identical options, so every model ties on"
            f" them: {', '.join(identical[:8])}"
        )
        print(for_terminal(said))


def _read(suite: str, entry: dict, sources: Path, corpus: Path) -> Read:
    kind = kind_of(suite, entry)
    if "kind" in entry:
        own = _own_records(suite, Path(entry["path"]), entry.get("columns") or {})
        return Read(kind, own, str(entry["path"]))
    name = entry.get("task", suite)
    task, build = TASKS[name], BUILDERS[name]
    options = {key: entry[key] for key in kinds_of(build) if key in entry}
    if "path" in entry:
        folder = Path(entry["path"])
        if not folder.exists():
            raise InputError(f"suite '{suite}': {folder}: no such file or folder")
    else:
        folder = (
            corpus if task.source == CORPUS else sources / str(entry.get("source", task.source))
        )
    try:
        records = build(folder, **options)
    except MissingColumn as error:
        raise InputError(f"{error}; these are not the files of task {name}") from error
    return Read(kind, records, str(folder))


def _check_numbers(source: str, name: str, declared: int | None, records: Sequence[dict]) -> None:
    """Raises InputError unless the records are as many as published, or as the entry declares."""
    task, n_groups = TASKS[name], len({record.get("group") for record in records})
    where, n = f"{source}: task {name} found", len(records)
    if declared is not None:
        if n != declared:
            raise InputError(f"{where} {n:,} items, expected {declared:,} as `items` says")
        if task.n_groups is not None and n_groups > task.n_groups:
            raise InputError(f"{where} {n_groups:,} groups, expected at most {task.n_groups:,}")
        return
    for what, found, published in (
        ("items", n, task.n_items),
        ("groups", n_groups, task.n_groups),
    ):
        if published is not None and found != published:
            hint = f"; for a subset, say `items: {n}`" if n < (task.n_items or 0) else ""
            raise InputError(
                f"{where} {found:,} {what}, expected {published:,} as published; the"
                f" files are incomplete, or those of another data set{hint}"
            )


def _own_records(suite: str, path: Path, columns: dict[str, str]) -> list[Record]:
    """The records of a data file, or of all in a folder, of which each is a group.

    `columns` says how ours are called there.
    """
    records = []
    for file in find(path, *SUFFIXES) if path.is_dir() else [path]:
        group = {"group": _without_suffix(file)} if path.is_dir() else {}
        for row in read_records(file):
            if missing := [name for name in columns.values() if name not in row]:
                raise InputError(
                    f"suite '{suite}': {row.where} has no column '{missing[0]}'; columns are"
                    f" {', '.join(row)}"
                )
            own = {name: value for name, value in row.items() if name not in TASKS_ALONE}
            renamed = {ours: row.value(theirs) for ours, theirs in columns.items()}
            records.append(row.record(**{**group, **own, **renamed}))
    return records


def _without_suffix(file: Path) -> str:
    suffix = next((suffix for suffix in SUFFIXES if file.name.endswith(suffix)), "")
    return file.name.removesuffix(suffix)
