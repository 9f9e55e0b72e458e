"""The four kinds of suite, from records to the rows of the items table; every suite is built on one of them.

| kind | a record has | options of an item |
|---|---|---|
| pairs | `good`, `bad` | 0 the good one (gold), 1 the bad one |
| choices | `options`, `gold` (index from 0), `context` (one for all, or a list: one an option) | as listed |
| completion | `context`, `target` | 0 |
| text | `text` | 0 |

A record may also have `id` (else its number in its group), `group` (else `all`) and, of pairs, a `context`. A target follows its
context after a space, unless there is whitespace already. A task's record may have `variants`, {name: what is different}: the same item
put otherwise, for comparisons within items (lmcore.explorations); the suite's own metrics are those of the record itself.

Texts must be texts: no number, null, list or half a character is taken for one. `group` and `id` may be whole numbers too, and 0 is one of
them; where they are absent, null or empty there is none. `gold` may be a number or its digits (1, 1.0 or "1").
"""

from collections import Counter
from collections.abc import Callable, Sequence

from lmcore.errors import InputError
from lmcore.suites.records import Record, name_of, texts_of
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
) -> list[dict]:
    """The rows of the items table of `records`.

    `leading_space` puts a space before a target without context; `ending_alone` adds each option without its context, as a variant
    (for PMI). `as_lm_eval` follows lm-eval to the letter: the space stands before an option even where there is one, and whitespace at
    the end of a context belongs to the target. Raises InputError, naming the file, line and item of a record (of one without a line
    `source`), for a missing column, a value that is no text, an empty target, a duplicate id, a gold that no option has, and items with
    unequal numbers of options.
    """
    options_of, columns = OF_KIND[kind]
    ids, rows, n_options = _ids(records, suite, source), [], None
    for record, item in zip(records, ids, strict=True):
        where = f"{_place(record, source)}: item '{item}'"
        if missing := [name for name in columns if record.get(name) is None]:
            raise InputError(
                f"{where} has no '{missing[0]}'; kind {kind} needs {', '.join(columns)}; columns are {', '.join(record)}"
            )
        texts = []
        for variant, changes in {"": {}, **record.get("variants", {})}.items():
            options = options_of({**record, **changes}, where)
            n_options = n_options or len(options)
            if len(options) != n_options:
                raise InputError(
                    f"{where} has {len(options)} options, the items before it have {n_options}; all must have the same number"
                )
            texts += [(variant, number, *option) for number, option in enumerate(options)]
        group = _group(record, source)
        for variant, number, context, target, gold in texts:
            if not target.strip():
                raise InputError(
                    f"{where} option {number} has an empty target; there is nothing to score"
                )
            wants_space = kind != "text" and (leading_space or context != "")
            has_space = context[-1:].isspace() or target[0].isspace()
            target = (
                " "
                if wants_space and (not has_space or (as_lm_eval and kind != "completion"))
                else ""
            ) + target
            if as_lm_eval and context.strip():
                context, target = context.rstrip(), context[len(context.rstrip()) :] + target
            row = {"item": item, "option": number, "group": group, "gold": gold}
            rows.append({**row, "variant": variant, "context": context, "target": target})
            if ending_alone and not variant:
                rows.append({**row, "variant": "ending_alone", "context": "", "target": target})
    return rows


def identical_options(rows: list[dict]) -> list[str]:
    """The items of which two options are the same text: no model can tell them apart, and each is a tie."""
    texts = Counter(
        (row["item"], row["context"] + row["target"]) for row in rows if not row["variant"]
    )
    return sorted({item for (item, _), n in texts.items() if n > 1})


def _place(record: dict, source: str) -> str:
    """The file and line of a record; `source` for one that was made of no row."""
    return record.where if isinstance(record, Record) else source


def _group(record: dict, source: str) -> str:
    return name_of(record.get("group"), f"{_place(record, source)}: column 'group'") or "all"


def _ids(records: Sequence[dict], suite: str, source: str) -> list[str]:
    """SUITE/id where a record has one, else SUITE/group/number; the group `all` is left out."""
    groups = [_group(record, source) for record in records]
    sizes = Counter(groups)
    numbers: Counter[str] = Counter()
    ids = []
    for record, group in zip(records, groups):
        name = f"{numbers[group]:0{max(4, len(str(sizes[group])))}d}"
        numbers[group] += 1
        own = name_of(record.get("id"), f"{_place(record, source)}: column 'id'")
        ids.append(f"{suite}/{own or (name if group == 'all' else f'{group}/{name}')}")
    for item, n in Counter(ids).items():
        if n > 1:
            places = [
                _place(record, source) for record, found in zip(records, ids) if found == item
            ]
            raise InputError(f"{places[1]}: item '{item}' occurs {n} times; ids must be unique")
    return ids


def _pairs(record: dict, where: str) -> list[Option]:
    context = "" if record.get("context") is None else _checked(record, "context", where)
    return [
        (context, _checked(record, "good", where), True),
        (context, _checked(record, "bad", where), False),
    ]


def _choices(record: dict, where: str) -> list[Option]:
    options, context, gold = (
        texts_of(record["options"], f"{where}: options"),
        record["context"],
        record["gold"],
    )
    if len(options) < 2:
        raise InputError(f"{where} has {len(options)} options; a choice needs at least 2")
    right = (
        str(gold).removesuffix(".0")
        if isinstance(gold, int | float | str) and not isinstance(gold, bool)
        else ""
    )
    if right not in map(str, range(len(options))):
        shown = described(str(gold) if isinstance(gold, int | float) else gold)
        raise InputError(
            f"{where}: gold is {shown}, which no option has; expected 0 to {len(options) - 1}"
        )
    contexts = (
        texts_of(context, f"{where}: context")
        if isinstance(context, list)
        else [_checked(record, "context", where)] * len(options)
    )
    if len(contexts) != len(options):
        raise InputError(
            f"{where} has {len(contexts)} contexts for {len(options)} options; expected one context, or one an option"
        )
    return [
        (context, option, str(number) == right)
        for number, (context, option) in enumerate(zip(contexts, options, strict=True))
    ]


def _completion(record: dict, where: str) -> list[Option]:
    return [(_checked(record, "context", where), _checked(record, "target", where), True)]


def _text(record: dict, where: str) -> list[Option]:
    return [("", _checked(record, "text", where), True)]


def _checked(record: dict, column: str, where: str) -> str:
    return checked_text(record[column], f"{where}: column '{column}'")


OF_KIND: dict[str, tuple[Callable[[dict, str], list[Option]], tuple[str, ...]]] = {
    "pairs": (_pairs, ("good", "bad")),
    "choices": (_choices, ("context", "options", "gold")),
    "completion": (_completion, ("context", "target")),
    "text": (_text, ("text",)),
}
