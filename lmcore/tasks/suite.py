"""From params' `suites` to items tables: each entry names a task of the registry, or a kind and a data file of the user's own."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pyarrow as pa
from pydantic import AfterValidator

from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.ranges import Bos, Count, Line, Name, Seed, SomeEntries, Whole
from lmcore.schema import check, fit, kinds_of, mapping, must_be, shown
from lmcore.shown import for_terminal
from lmcore.tables import ITEMS, items_table, write
from lmcore.tasks.conventions import LM_EVAL, Classes, Convention, Ties, bos_of, convention_of
from lmcore.tasks.kinds import KINDS, identical_options, item_rows
from lmcore.tasks.records import SUFFIXES, MissingColumn, Record, find, read_records
from lmcore.tasks.registry import CORPUS, TASKS

TASKS_ALONE = ("variants", "words", "bytes")  # what only a task says of its records; in one's own file a column like any other


class Scoring(TypedDict, total=False):
    """What the engine offers besides, handed to it as it is; see lmcore.scoring.engine."""

    window: Count
    stride: Count
    top_k: Whole
    bow: bool
    masked: Literal["within_word_l2r", "original"]


class Entry(TypedDict, total=False):
    """The keys that every entry of params' suites may have; see `build_suite`. Null is as good as absent where it stands here."""

    task: Name
    source: Name
    kind: Literal["pairs", "choices", "completion", "text"]
    path: Line
    columns: dict[Line, Line] | None
    limit: Count | None
    seed: Seed
    convention: Convention
    bos: Bos
    leading_space: bool
    ties: Ties
    ending_alone: bool
    classes: Classes | None
    scoring: Annotated[dict, mapping(Scoring)] | None


@cache
def entry_of(suite: str) -> Any:
    """The kind of an entry of this name, for lmcore.schema: keys, values, and what belongs together are as `build_suite` says."""
    return Annotated[dict, AfterValidator(partial(_check_entry, suite))]


def _check_entry(suite: str, entry: dict) -> dict:
    """Raises ValueError."""
    if "kind" in entry:
        fit(entry, Entry)
        if "path" not in entry:
            raise ValueError(f"kind {entry['kind']} needs the path of a .csv, .jsonl or .parquet file, or of a folder of such files")
    else:
        task = entry.get("task", suite)
        if not isinstance(task, str) or task not in TASKS:
            known = ", ".join(TASKS)
            raise ValueError(f"unknown task {shown(task)}; expected {known}, or kind and path of a file of your own")
        fit(entry, Entry, TASKS[task].build)
        if TASKS[task].source is None and "path" not in entry:
            raise ValueError(f"task {task} needs the key 'path', its data file or folder")
    try:
        kind = kind_of(suite, entry)
        classes_of(suite, entry, kind)
        _check_alone(suite, entry, kind)
    except InputError as error:
        raise ValueError(str(error).removeprefix(f"suite '{suite}': ")) from None
    return entry


def _check_alone(suite: str, entry: dict, kind: str) -> None:
    convention = convention_of(suite, entry)
    policies = {convention["bos"], convention["bos_after_context"]}
    if entry.get("ending_alone") and (kind != "choices" or policies != {"prefix"}):
        raise InputError(
            f"suite '{suite}': ending_alone needs kind choices and bos: prefix, or the first token of an ending alone has no probability"
        )


def _check_suites(suites: dict[str, dict | None]) -> dict[str, dict | None]:
    for suite, entry in suites.items():
        must_be(entry or {}, entry_of(suite), (suite,))
    return suites


Suites = Annotated[SomeEntries, AfterValidator(_check_suites)]


def build_items(suites: dict[str, dict], sources: Path, corpus: Path, out: Path) -> None:
    """Write `out`/SUITE.parquet for every entry of `suites`, all or none; `sources` holds a folder per source."""
    tables = {suite: build_suite(suite, entry, sources, corpus) for suite, entry in suites.items()}
    with whole(out) as folder:
        for suite, table in tables.items():
            write(table, ITEMS, folder / f"{suite}.parquet")


def build_suite(suite: str, entry: dict | None, sources: Path, corpus: Path) -> pa.Table:
    """The items table of one entry of params' suites; its metadata say what the engine must know (`lmcore.tables.scoring_of`).

    An entry holds `task` (by default the suite's own name) and perhaps `source`, or the `path` that the task reads instead; or `kind`, the
    `path` of a file or a folder of files (each of them a group), and perhaps `columns` ({good: Target1, …}: their names there); then, as
    needed, `convention`, `bos`, `leading_space`, `ties`, `ending_alone`, `classes` (see `classes_of`), the task's own options, `limit` with
    `seed` for a subset spread over the groups, and `scoring` with what the engine offers besides (Scoring).
    Raises InputError for an unknown key, task or kind, and for numbers of items or groups other than the published ones.
    """
    entry = entry or {}
    check(entry, entry_of(suite), f"suite '{suite}'")
    kind, records, source = _records(suite, entry, sources, corpus)
    convention = convention_of(suite, entry)
    classes = classes_of(suite, entry, kind)
    ending_alone = entry.get("ending_alone", False)
    rows = item_rows(
        kind,
        records,
        suite=suite,
        leading_space=convention["leading_space"],
        ending_alone=ending_alone,
        source=source,
        as_lm_eval=entry.get("convention") in LM_EVAL,
    )
    raw = zip(rows, records) if kind == "text" else ()  # a text whose words and bytes are counted before it was detokenised
    lengths = {row["item"]: [record["words"], record["bytes"]] for row, record in raw if "words" in record and "bytes" in record}
    if kind == "choices" and classes and len(classes) != 1 + max(row["option"] for row in rows):
        raise InputError(f"suite '{suite}': {len(classes)} classes for items of {1 + max(row['option'] for row in rows)} options")
    if entry.get("limit") is not None:
        chosen = subset(rows, suite, entry["limit"], entry.get("seed", 0))
        rows = [row for row in rows if row["item"] in chosen]
    if identical := identical_options(rows):
        said = f"{suite}: {len(identical)} items have two identical options and are ties for every model: {', '.join(identical[:8])}"
        print(for_terminal(said))
    scoring = {**(entry.get("scoring") or {}), "bos": bos_of(convention, rows, source)}
    if lengths:
        scoring["lengths"] = {item: lengths[item] for item in sorted({row["item"] for row in rows})}
    return items_table(rows, scoring, f"suite '{suite}'")


def task_of(suite: str, entry: dict | None) -> str:
    """The name of the task that a suite is, empty for one's own file of a kind."""
    return "" if "kind" in (entry or {}) else (entry or {}).get("task", suite)


def kind_of(suite: str, entry: dict | None) -> str:
    """The kind of a suite's entry. Raises InputError for an unknown task or kind."""
    entry = entry or {}
    if "kind" in entry:
        if entry["kind"] not in KINDS:
            raise InputError(f"suite '{suite}': unknown kind '{entry['kind']}'; expected {', '.join(KINDS)}")
        return entry["kind"]
    task = entry.get("task", suite)
    if task not in TASKS:
        raise InputError(f"suite '{suite}': unknown task '{task}'; expected {', '.join(TASKS)}, or kind and path of a file of your own")
    return TASKS[task].kind


def classes_of(suite: str, entry: dict | None, kind: str) -> list[str]:
    """The names of a suite's classes, none where it has no `classes`; the last is the positive one.

    Of `choices` they name the options, which must mean the same in all items; of `pairs` the bad and the good sentence.
    Raises InputError for another kind, fewer than two names (of pairs: other than two), and names that are no metric's.
    """
    classes = (entry or {}).get("classes") or []
    if not classes:
        return []
    if kind not in ("pairs", "choices"):
        raise InputError(f"suite '{suite}': classes need kind pairs or choices, not {kind}")
    names = [str(name) for name in classes] if isinstance(classes, list) else []
    if len(set(names)) != len(classes) or len(names) < 2 or (kind == "pairs" and len(names) != 2):
        number = "two" if kind == "pairs" else "two or more"
        raise InputError(f"suite '{suite}': classes must be a list of {number} different names, the positive one last, not {classes!r}")
    for name in names:
        if not re.fullmatch(r"[a-z0-9]+", name) or name == "macro":
            raise InputError(f"suite '{suite}': the class '{name}' must consist of a-z and 0-9 alone, and not be 'macro'")
    return names


def subset(rows: list[dict], suite: str, limit: int, seed: int) -> set[str]:
    """`limit` items of `rows`, spread over the groups in proportion: at least one of each where there are enough.

    The order of `rows` does not matter. A larger limit keeps the items of a smaller one: in each group they are taken in the order of a
    hash of seed and id.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InputError(f"suite '{suite}': limit must be a whole number above 0, or absent for all items, not {limit!r}")
    order = sorted({(row["group"], hashlib.sha256(f"{seed} {row['item']}".encode()).hexdigest(), row["item"]) for row in rows})
    sizes, ranks = Counter(group for group, _, _ in order), Counter[str]()
    places = []
    for group, digest, item in order:
        places.append((ranks[group] / sizes[group], digest, item))
        ranks[group] += 1
    return {item for _, _, item in sorted(places)[:limit]}


def _records(suite: str, entry: dict, sources: Path, corpus: Path) -> tuple[str, Sequence[dict], str]:
    """Kind, records and the name of the file or folder they come from."""
    kind = kind_of(suite, entry)
    if "kind" in entry:
        return kind, _own_records(suite, Path(entry["path"]), entry.get("columns") or {}), str(entry["path"])
    name = entry.get("task", suite)
    task = TASKS[name]
    options = {key: entry[key] for key in kinds_of(task.build) if key in entry}
    if "path" in entry and not Path(entry["path"]).exists():
        raise InputError(f"suite '{suite}': {entry['path']}: no such file or folder")
    source = sources / entry.get("source", task.source or "")
    folder = Path(entry["path"]) if "path" in entry else corpus if task.source == CORPUS else source
    try:
        records = task.build(folder, **options)
    except MissingColumn as error:
        raise InputError(f"{error}; these are not the files of task {name}") from error
    for found, expected, what in ((len(records), task.n_items, "items"), (len({r.get("group") for r in records}), task.n_groups, "groups")):
        if expected is not None and found != expected:
            raise InputError(
                f"{folder}: task {name} found {found:,} {what}, published are {expected:,}; these are not all of its data, or not its data"
            )
    return kind, records, str(folder)


def _own_records(suite: str, path: Path, columns: dict[str, str]) -> list[Record]:
    """The records of a data file, or of all in a folder, of which each is a group; `columns` says how ours are called there."""
    records = []
    for file in find(path, *SUFFIXES) if path.is_dir() else [path]:
        suffix = next((suffix for suffix in SUFFIXES if file.name.endswith(suffix)), "")
        group = {"group": file.name.removesuffix(suffix)} if path.is_dir() else {}
        for row in read_records(file):
            if missing := [name for name in columns.values() if name not in row]:
                raise InputError(f"suite '{suite}': {row.where} has no column '{missing[0]}'; columns are {', '.join(row)}")
            own = {name: value for name, value in row.items() if name not in TASKS_ALONE}
            records.append(row.record(**{**group, **own, **{ours: row.value(theirs) for ours, theirs in columns.items()}}))
    return records
