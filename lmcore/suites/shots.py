"""Worked examples before every question of a suite (few-shot).

The records of a suite go in. Out come the text of the examples, and the items that are not scored
because of them.

The examples are drawn by a seed, once for the suite, so all its items have the same ones in the
same order. Of kind choices, each place of the right option (each class, where the options are
classes) is that of equally many examples, or of one more. They come from a file or folder of their
own, or from the suite's own items. Then they are no items any longer, and nor is an item that is
the same text as an example. From a file of its own, an example is not drawn if it is an item.

An example is worded as an item is: its context and its right target, with the same space between
them. A blank line follows it. Where an item has variants that all examples have too, the examples
before a variant are worded as that variant is.

Under lm-eval's conventions the text is that of lm-eval (0.4.13), for the same examples. There the
word of LAMBADA stands behind two spaces in an example, and behind one in the item.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from lmcore.errors import InputError
from lmcore.suites.kinds import Option, ids_of, place_of, spaced, variants_of

SEPARATOR = "\n\n"  # lm-eval's fewshot_delimiter

Records = tuple[Sequence[dict], str]  # and the file or folder they come from
Variants = dict[str, list[Option]]  # the options of a record by variant


class Shots(NamedTuple):
    """The text of the examples for each variant, and the ids of the items that are not scored."""

    texts: dict[str, str]
    apart: set[str]


def shots_of(
    kind: str,
    own: Records,
    others: Records | None,
    *,
    n: int,
    seed: int,
    suite: str,
    spacing: dict,
) -> Shots:
    """`n` examples, drawn from `others`, or from the suite's own records where that is None.

    `spacing` has `leading_space` and `as_lm_eval`, as for lmcore.suites.kinds.item_rows. Raises
    InputError for a record that is no item of the kind, and where there are too few for the
    examples or no item is left.
    """
    items, source = _checked(kind, own, suite), own[1]
    pool = list(items.values())
    if others is not None:
        known = {_question(variants) for variants in pool}
        candidates, source = _checked(kind, others, suite), others[1]
        pool = [variants for variants in candidates.values() if _question(variants) not in known]
    golds = [_gold(variants[""]) for variants in pool]
    examples = [pool[number] for number in draw(golds, n, seed, source)]
    asked = {_question(variants) for variants in examples}
    apart = {item for item, variants in items.items() if _question(variants) in asked}
    if len(apart) == len(items):
        raise InputError(f"{source}: {n} shots leave no item to score")
    names = set.intersection(*(set(variants) for variants in examples))
    texts = {name: _text(kind, name, examples, spacing) for name in sorted(names)}
    return Shots(texts, apart)


def draw(golds: Sequence[int], n: int, seed: int, source: str) -> list[int]:
    """`n` different numbers of entries of `golds`, in random order.

    Every value of `golds` has equally many of them, or one more. Raises InputError, naming
    `source`, for a value with too few entries.
    """
    numbers: dict[int, list[int]] = {}
    for number, gold in enumerate(golds):
        numbers.setdefault(gold, []).append(number)
    if not numbers:
        raise InputError(f"{source}: there is nothing to draw {n} shots from")
    rng = random.Random(seed)
    share, n_more = divmod(n, len(numbers))
    values = sorted(numbers)
    rich = [value for value in values if len(numbers[value]) > share]
    # where too few are rich enough, the loop refuses
    extra = rng.sample(rich if len(rich) >= n_more else values, n_more) if n_more else []
    drawn: list[int] = []
    for value in values:
        candidates, wanted = numbers[value], share + (value in extra)
        if len(candidates) < wanted:
            raise InputError(
                f"{source}: option {value} is the right one of {len(candidates):,} items, too few "
                f"for {wanted} of {n} shots"
            )
        drawn += rng.sample(candidates, wanted)
    rng.shuffle(drawn)
    return drawn


def _checked(kind: str, records: Records, suite: str) -> dict[str, Variants]:
    """The options of every record by item and variant; all must have as many as the first."""
    found: dict[str, Variants] = {}
    n_options = 0
    for record, item in zip(records[0], ids_of(records[0], suite, records[1]), strict=True):
        where = f"{place_of(record, records[1])}: item '{item}'"
        found[item] = variants_of(kind, record, where, n_options)
        n_options = len(found[item][""])
    return found


def _gold(options: list[Option]) -> int:
    return next(number for number, (_, _, is_gold) in enumerate(options) if is_gold)


def _question(variants: Variants) -> tuple[tuple[str, str], ...]:
    """What makes two records the same question: contexts and targets of all options."""
    return tuple((context, target) for context, target, _ in variants[""])


def _text(kind: str, variant: str, examples: list[Variants], spacing: dict) -> str:
    """The examples as they stand before an item's context."""
    text = ""
    for variants in examples:
        options = variants[variant]
        context, target, _ = options[_gold(options)]
        context, target = spaced(kind, context, target, **spacing)
        # lm-eval's delimiter, which it puts in examples of every kind
        space = " " if kind == "completion" and spacing["as_lm_eval"] else ""
        text += context + space + target + SEPARATOR
    return text
