"""The six kinds of suite: records go in, rows of the items table come out.

Every suite is built on one of them.

| kind | a record has | options of an item |
|---|---|---|
| pairs | `good`, `bad` | 0 the good one (gold), 1 the bad one |
| choices | `options`, `gold` (index from 0), `context` | as listed |
| completion | `context`, `target` | 0 |
| text | `text` | 0 |
| graded | `first`, `second`, `ratio` | 0 the first one (marked as gold), 1 the second one |
| reading | `context`, `word` | 0 the word in its context, 1 the word before it in its own |

The `context` of `choices` is one for all options, or a list with one for each option. A record may
also have `id` (else its number in its group), `group` (else `all`) and, if it is a pair, a
`context`. A target follows its context after a space, unless there is whitespace already.

The `ratio` of `graded` is the share, from 0 to 1, of people who prefer the first text. Neither text
is right.

A record of `reading` also has `previous_context` and `previous_word`, and the numbers of
lmcore.suites.readings. All of these may be absent. Without a previous word, option 1 is the word
once more, and `previous_length` must be absent. The spaces between words are left out where words
are tokenised apart from their contexts.

A record may have a `cluster`: the story, concept or template that it shares with other records.
Where any record has one, every row of the items table has its cluster, and a record without one is
a cluster of its own.

The record of a task may have `variants`, {name: the columns that differ}. A variant is the same
item put differently, for comparisons within items (lmcore.explorations). The suite's own metrics
are those of the record itself.

Texts must be texts: no number, null, list or half a character is taken for one. `group`, `cluster`
and `id` may also be whole numbers, 0 included. If they are absent, null or empty, the record has
none. `gold` may be a number or its digits (1, 1.0 or "1").
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from lmcore.errors import InputError
from lmcore.suites.readings import COLUMNS
from lmcore.suites.records import Record, name_of, texts_of
from lmcore.tables import CLUSTER
from lmcore.text_files import checked_text, described

Option = tuple[str, str, bool]  # context, target, gold


def item_rows(
    kind: str,
    records: Sequence[dict],
    *,
    suite: str,
    leading_space: bool,
    ending_alone: bool,
    source: str,
    as_lm_eval: bool = False,
    shots: dict[str, str] | None = None,
    separate: bool = False,
) -> list[dict]:
    """The rows of the items table of `records`.

    `leading_space` puts a space before a target without context. `ending_alone` adds each option
    without its context, as a variant (for PMI). `as_lm_eval` follows lm-eval exactly: the space
    stands before an option even where there is one already, and whitespace at the end of a context
    belongs to the target. `shots` are the texts of worked examples, by variant, that stand before
    every context; a variant that has none has those of the item itself (see lmcore.suites.shots).
    With `separate`, context and target stay as they are, since they are tokenised apart.

    Raises InputError for a missing column, a value that is no text, an empty target, a duplicate
    id, a gold that no option has, and items with unequal numbers of options. The message names the
    file, line and item of a record, or `source` for a record without a line.
    """
    ids = ids_of(records, suite, source)
    clusters = _clusters(records, source)
    has_clusters = any(clusters)
    texts = shots or {}
    rows: list[dict] = []
    n_options = 0  # of the first item
    for record, item, cluster in zip(records, ids, clusters, strict=True):
        where = f"{place_of(record, source)}: item '{item}'"
        variants = variants_of(kind, record, where, n_options)
        n_options = len(variants[""])
        group = _group(record, source)
        for variant, options in variants.items():
            before = texts.get(variant, texts.get("", ""))
            for number, (context, target, gold) in enumerate(options):
                if not target.strip():
                    raise InputError(
                        f"{where} option {number} has an empty target; there is nothing to score"
                    )
                context = before + context
                if not separate:
                    context, target = spaced(kind, context, target, leading_space, as_lm_eval)
                row = {"item": item, "option": number, "group": group, "gold": gold}
                if has_clusters:
                    row[CLUSTER] = cluster or item
                rows.append({**row, "variant": variant, "context": context, "target": target})
                if ending_alone and not variant:
                    alone = {"variant": "ending_alone", "context": "", "target": target}
                    rows.append({**row, **alone})
    return rows


def identical_options(rows: list[dict]) -> list[str]:
    """The items of which two options are the same text.

    No model can tell such options apart, so each of these items is a tie.
    """
    texts = Counter(
        (row["item"], row["context"] + row["target"]) for row in rows if not row["variant"]
    )
    return sorted({item for (item, _), count in texts.items() if count > 1})


def place_of(record: dict, source: str) -> str:
    """The file and line of a record; `source` for a record that was not made from a row."""
    return record.where if isinstance(record, Record) else source


def _group(record: dict, source: str) -> str:
    return name_of(record.get("group"), f"{place_of(record, source)}: column 'group'") or "all"


def _clusters(records: Sequence[dict], source: str) -> list[str]:
    """The cluster of each record, empty where it has none.

    Raises InputError for a cluster that is no name.
    """
    clusters = []
    for record in records:
        place = f"{place_of(record, source)}: column '{CLUSTER}'"
        clusters.append(name_of(record.get(CLUSTER), place))
    return clusters


def ids_of(records: Sequence[dict], suite: str, source: str) -> list[str]:
    """SUITE/id where a record has an id, else SUITE/group/number; the group `all` is left out.

    Raises InputError for an id that occurs twice.
    """
    groups = [_group(record, source) for record in records]
    sizes = Counter(groups)
    numbers: Counter[str] = Counter()
    ids = []
    for record, group in zip(records, groups):
        n_digits = max(4, len(str(sizes[group])))
        number = f"{numbers[group]:0{n_digits}d}"
        numbers[group] += 1
        given = name_of(record.get("id"), f"{place_of(record, source)}: column 'id'")
        name = given or (number if group == "all" else f"{group}/{number}")
        ids.append(f"{suite}/{name}")
    for item, count in Counter(ids).items():
        if count > 1:
            second = ids.index(item, ids.index(item) + 1)
            place = place_of(records[second], source)
            raise InputError(f"{place}: item '{item}' occurs {count} times; ids must be unique")
    return ids


def variants_of(kind: str, record: dict, where: str, n_options: int) -> dict[str, list[Option]]:
    """The options of a record by variant; the record itself is the variant with the empty name.

    Each variant must have `n_options` options; 0 stands for any number. Raises InputError.
    """
    options_of, columns = OF_KIND[kind]
    if missing := [name for name in columns if record.get(name) is None]:
        raise InputError(
            f"{where} has no '{missing[0]}'; kind {kind} needs {', '.join(columns)}; "
            f"columns are {', '.join(record)}"
        )
    variants: dict[str, list[Option]] = {}
    for variant, changes in {"": {}, **record.get("variants", {})}.items():
        options = options_of({**record, **changes}, where)
        n_options = n_options or len(options)
        if len(options) != n_options:
            raise InputError(
                f"{where} has {len(options)} options, the items before it have {n_options}; "
                "all must have the same number"
            )
        variants[variant] = options
    return variants


def spaced(
    kind: str, context: str, target: str, leading_space: bool, as_lm_eval: bool
) -> tuple[str, str]:
    """Context and target with the whitespace between them; `item_rows` explains the rules."""
    wants_space = kind != "text" and (leading_space or context != "")
    has_space = context[-1:].isspace() or target[0].isspace()
    adds_always = as_lm_eval and kind != "completion"
    if wants_space and (adds_always or not has_space):
        target = " " + target
    if as_lm_eval and context.strip():
        stripped = context.rstrip()
        return stripped, context[len(stripped) :] + target
    return context, target


def _pairs(record: dict, where: str) -> list[Option]:
    context = "" if record.get("context") is None else _checked(record, "context", where)
    return [
        (context, _checked(record, "good", where), True),
        (context, _checked(record, "bad", where), False),
    ]


def _choices(record: dict, where: str) -> list[Option]:
    options = texts_of(record["options"], f"{where}: options")
    if len(options) < 2:
        raise InputError(f"{where} has {len(options)} options; a choice needs at least 2")
    right = _gold(record["gold"], len(options), where)
    if isinstance(record["context"], list):
        contexts = texts_of(record["context"], f"{where}: context")
    else:
        contexts = [_checked(record, "context", where)] * len(options)
    if len(contexts) != len(options):
        raise InputError(
            f"{where} has {len(contexts)} contexts for {len(options)} options; "
            "expected one context, or one for each option"
        )
    return [
        (context, option, number == right)
        for number, (context, option) in enumerate(zip(contexts, options, strict=True))
    ]


def _gold(gold: object, n_options: int, where: str) -> int:
    """The number of the right option, which may be given as its digits."""
    may_be_number = isinstance(gold, int | float | str) and not isinstance(gold, bool)
    digits = str(gold).removesuffix(".0") if may_be_number else ""
    if digits not in map(str, range(n_options)):
        shown = described(str(gold) if isinstance(gold, int | float) else gold)
        raise InputError(
            f"{where}: gold must be the number of an option, 0 to {n_options - 1}, not {shown}"
        )
    return int(digits)


def _completion(record: dict, where: str) -> list[Option]:
    return [(_checked(record, "context", where), _checked(record, "target", where), True)]


def _text(record: dict, where: str) -> list[Option]:
    return [("", _checked(record, "text", where), True)]


def _graded(record: dict, where: str) -> list[Option]:
    ratio_of(record, where)
    first, second = _checked(record, "first", where), _checked(record, "second", where)
    return [("", first, True), ("", second, False)]


def _reading(record: dict, where: str) -> list[Option]:
    numbers = readings_of(record, where)
    names = ("context", "word")
    if record.get("previous_word") is not None:
        names = ("previous_context", "previous_word")
    elif numbers[COLUMNS.index("previous_length")] is not None:
        raise InputError(f"{where}: has a previous_length, but no previous_word")
    options = []
    for context, word in (("context", "word"), names):
        options.append((_checked(record, context, where), _checked(record, word, where)))
    if not all(context.strip() for context, _ in options):
        raise InputError(f"{where} has an empty context; nothing would predict the word")
    return [(*options[0], True), (*options[1], False)]


def readings_of(record: dict, where: str) -> list[float | None]:
    """The numbers of a record of kind reading, in the order of COLUMNS; None for an absent one.

    Raises InputError for a value that is no finite number.
    """
    numbers: list[float | None] = []
    for column in COLUMNS:
        value = record.get(column)
        if value is None or value == "":
            numbers.append(None)
            continue
        try:
            number = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not math.isfinite(number):
            raise InputError(
                f"{where}: column '{column}' must be a number or absent, not {described(value)}"
            )
        numbers.append(number)
    return numbers


def ratio_of(record: dict, where: str) -> float:
    """The `ratio` of a graded record, a number or its digits.

    Raises InputError for anything but a number from 0 to 1.
    """
    ratio = record["ratio"]
    try:
        number = float("nan") if isinstance(ratio, bool) else float(ratio)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 <= number <= 1:
        raise InputError(
            f"{where}: column 'ratio' must be a number from 0 to 1, not {described(ratio)}"
        )
    return number


def _checked(record: dict, column: str, where: str) -> str:
    return checked_text(record[column], f"{where}: column '{column}'")


# for each kind the function that makes the options of a record, and the columns it needs
OF_KIND: dict[str, tuple[Callable[[dict, str], list[Option]], tuple[str, ...]]] = {
    "pairs": (_pairs, ("good", "bad")),
    "choices": (_choices, ("context", "options", "gold")),
    "completion": (_completion, ("context", "target")),
    "text": (_text, ("text",)),
    "graded": (_graded, ("first", "second", "ratio")),
    "reading": (_reading, ("context", "word")),
}
