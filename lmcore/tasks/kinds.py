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
"""

import json
from collections import Counter
from collections.abc import Callable

from lmcore.errors import InputError

Option = tuple[str, str, bool]  # context, target, gold


def item_rows(
    kind: str, records: list[dict], *, suite: str, leading_space: bool, ending_alone: bool, source: str, as_lm_eval: bool = False
) -> list[dict]:
    """The rows of the items table of `records`.

    `leading_space` puts a space before a target without context; `ending_alone` adds each option without its context, as a variant
    (for PMI). `as_lm_eval` follows lm-eval to the letter: the space stands before an option even where there is one, and whitespace at
    the end of a context belongs to the target. Raises InputError, naming `source` and the record, for a missing column, an empty target,
    a duplicate id, a gold that no option has, and items with unequal numbers of options.
    """
    options_of, columns = KINDS[kind]
    ids, rows, n_options = _ids(records, suite, source), [], None
    for record, item in zip(records, ids, strict=True):
        if missing := [name for name in columns if record.get(name) is None]:
            raise InputError(
                f"{source}: item '{item}' has no '{missing[0]}'; kind {kind} needs {', '.join(columns)}; columns are {', '.join(record)}"
            )
        others = record.get("variants")
        texts = []
        for variant, changes in {"": {}, **(others if isinstance(others, dict) else {})}.items():
            options = options_of({**record, **changes}, f"{source}: item '{item}'")
            n_options = n_options or len(options)
            if len(options) != n_options:
                raise InputError(
                    f"{source}: item '{item}' has {len(options)} options, the items before it have {n_options}; "
                    "all must have the same number"
                )
            texts += [(variant, number, *option) for number, option in enumerate(options)]
        for variant, number, context, target, gold in texts:
            if not target.strip():
                raise InputError(f"{source}: item '{item}' option {number} has an empty target; there is nothing to score")
            wants_space = kind != "text" and (leading_space or context != "")
            has_space = context[-1:].isspace() or target[0].isspace()
            target = (" " if wants_space and (not has_space or (as_lm_eval and kind != "completion")) else "") + target
            if as_lm_eval and context.strip():
                context, target = context.rstrip(), context[len(context.rstrip()) :] + target
            row = {"item": item, "option": number, "group": _group(record), "gold": gold}
            rows.append({**row, "variant": variant, "context": context, "target": target})
            if ending_alone and not variant:
                rows.append({**row, "variant": "ending_alone", "context": "", "target": target})
    return rows


def identical_options(rows: list[dict]) -> list[str]:
    """The items of which two options are the same text: no model can tell them apart, and each is a tie."""
    texts = Counter((row["item"], row["context"] + row["target"]) for row in rows if not row["variant"])
    return sorted({item for (item, _), n in texts.items() if n > 1})


def _group(record: dict) -> str:
    return str(record.get("group") or "all")


def _ids(records: list[dict], suite: str, source: str) -> list[str]:
    """SUITE/id where a record has one, else SUITE/group/number; the group `all` is left out."""
    sizes = Counter(map(_group, records))
    numbers: Counter[str] = Counter()
    ids = []
    for record in records:
        group = _group(record)
        name = f"{numbers[group]:0{max(4, len(str(sizes[group])))}d}"
        numbers[group] += 1
        ids.append(
            f"{suite}/{record['id']}"
            if record.get("id") not in (None, "")
            else f"{suite}/{name}"
            if group == "all"
            else f"{suite}/{group}/{name}"
        )
    for item, n in Counter(ids).items():
        if n > 1:
            raise InputError(f"{source}: item '{item}' occurs {n} times; ids must be unique")
    return ids


def _pairs(record: dict, where: str) -> list[Option]:
    context = record.get("context") or ""
    return [(context, record["good"], True), (context, record["bad"], False)]


def _choices(record: dict, where: str) -> list[Option]:
    options, context = _list(record["options"], f"{where}: options"), record["context"]
    if len(options) < 2:
        raise InputError(f"{where} has {len(options)} options; a choice needs at least 2")
    gold = str(record["gold"]).removesuffix(".0")
    if gold not in map(str, range(len(options))):
        raise InputError(f"{where}: gold is '{record['gold']}', which no option has; expected 0 to {len(options) - 1}")
    contexts = [context] * len(options) if isinstance(context, str) else context
    if len(contexts) != len(options):
        raise InputError(f"{where} has {len(contexts)} contexts for {len(options)} options; expected one context, or one an option")
    return [(context, option, str(number) == gold) for number, (context, option) in enumerate(zip(contexts, options, strict=True))]


def _list(value: object, where: str) -> list[str]:
    """A list of strings; in a CSV cell it is written as JSON."""
    try:
        values = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise InputError(f'{where} must be a list; in CSV as JSON, e.g. ["one", "two"]') from error
    if not isinstance(values, list) or not all(isinstance(option, str) for option in values):
        raise InputError(f"{where} must be a list of strings, not {value!r}")
    return values


def _completion(record: dict, where: str) -> list[Option]:
    return [(record["context"], record["target"], True)]


def _text(record: dict, where: str) -> list[Option]:
    return [("", record["text"], True)]


KINDS: dict[str, tuple[Callable[[dict, str], list[Option]], tuple[str, ...]]] = {
    "pairs": (_pairs, ("good", "bad")),
    "choices": (_choices, ("context", "options", "gold")),
    "completion": (_completion, ("context", "target")),
    "text": (_text, ("text",)),
}
