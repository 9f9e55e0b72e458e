"""What every side says of an item's texts, token by token, as plain data for a page.

Token rows go in. Lists that JSON can hold come out:

    an item    {id, group, options: [option], sides: [of a side]}
    an option  {gold, cuts: [cut]}
    a cut      {pieces, n_context}: how a tokenizer cuts the text; sides share it where they can
    of a side  {right, value, rank, logprobs, texts: [text]}
    a text     {cut, bits, ranks, entropies, tops}: one number for each piece

A piece is what a token adds to the text, so that all pieces together are the text; the first
`n_context` belong to the context. A piece that was not scored has null for its numbers: the first
word where nothing precedes it, the context of a masked LM, and everything beyond the first
`most_tokens`. An option whose context is that of the first one has no pieces for it. `tops` are the
first choices in the piece's place, [[token, per cent], ...], 0 where the piece itself was the only
one that was recorded. Tokens are those of the first draw of a random model; log-probs are means
over its draws. Texts are as lmcore.shown.for_terminal writes them.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.analysis.by_token import text_of
from lmcore.items.sides import Measure, Side, Values
from lmcore.shown import for_terminal

BITS = math.log(2)


class Text(NamedTuple):
    """A row of the items table."""

    context: str
    target: str
    gold: bool


class Tokens(NamedTuple):
    """What a side says of some items: of each text its token rows, by position."""

    rows: dict[tuple[str, int], list[dict]]  # of the first draw
    logprobs: dict[tuple[str, int], float]  # of targets, in nats; means over draws
    texts: list[str]  # of the tokenizer's ids


def texts_of(items: pa.Table, wanted: list[str]) -> dict[str, list[Text]]:
    """The texts of the wanted items, by option; variants do not count."""
    mask = pc.and_(pc.equal(items["variant"], ""), pc.is_in(items["item"], pa.array(wanted)))
    found: dict[str, list[Text]] = {}
    columns = ["item", "context", "target", "gold"]
    for row in items.filter(mask).select(columns).to_pylist():
        found.setdefault(row["item"], []).append(Text(row["context"], row["target"], row["gold"]))
    return found


def tokens_of_items(side: Side, wanted: list[str]) -> Tokens:
    """What a side says of these items."""
    table = side.tokens(wanted)
    table = table.filter(pc.equal(table["variant"].cast(pa.string()), ""))
    targets = table.filter(table["is_target"])
    sums = targets.group_by(["item", "option"]).aggregate([("logprob", "sum")]).to_pylist()
    n_draws = 1 + (pc.max(table["draw"]).as_py() or 0)
    logprobs = {(row["item"], row["option"]): row["logprob_sum"] / n_draws for row in sums}
    first = table.filter(pc.equal(table["draw"], 0)).drop_columns(["draw", "variant"])
    rows: dict[tuple[str, int], list[dict]] = {}
    for row in first.to_pylist():
        rows.setdefault((row["item"], row["option"]), []).append(row)
    for of_text in rows.values():
        of_text.sort(key=lambda row: row["position"])
    return Tokens(rows, logprobs, side.token_texts())


def item_data(
    item: str,
    group: str,
    texts: list[Text],
    sides: list[tuple[Tokens, dict[str, Any]]],
    *,
    most_tokens: int,
) -> dict[str, Any]:
    """An item as this module's docstring says; a side comes with its `right`, `value`, `rank`."""
    options: list[dict[str, Any]] = [{"gold": text.gold, "cuts": []} for text in texts]
    of_sides = []
    for tokens, values in sides:
        logprobs, of_texts = [], []
        for number, text in enumerate(texts):
            logprob = tokens.logprobs.get((item, number))
            logprobs.append(None if logprob is None else round(logprob, 2))
            rows = tokens.rows.get((item, number), [])
            with_context = number == 0 or text.context != texts[0].context
            cut, numbers = _cut(text, rows, tokens.texts, with_context, most_tokens)
            cuts = options[number]["cuts"]
            if cut not in cuts:
                cuts.append(cut)
            of_texts.append({"cut": cuts.index(cut), **numbers})
        of_sides.append({**values, "logprobs": logprobs, "texts": of_texts})
    shown = {"id": for_terminal(item), "group": for_terminal(group)}
    return {**shown, "options": options, "sides": of_sides}


def lead(logprobs: list[float | None], texts: list[Text]) -> float | None:
    """The log-prob of the gold option minus that of the best other one, in nats."""
    known = [logprob for logprob in logprobs if logprob is not None]
    if len(known) < len(texts) or len(texts) < 2:
        return None
    gold = [text.gold for text in texts].index(True)
    return known[gold] - max(known[:gold] + known[gold + 1 :])


def side_values(
    values: Values, row: int, tokens: Tokens, item: str, texts: list[Text], measure: Measure
) -> dict[str, Any]:
    """`right`, `value` and `rank` of a side on an item, null where there is none.

    row: the number of the item in `values`.
    """
    value = values.value[row]
    if not measure.metric:
        logprobs = [tokens.logprobs.get((item, number)) for number in range(len(texts))]
        of_tokens = lead(logprobs, texts)
        value = np.nan if of_tokens is None else of_tokens
    right = values.right[row] if measure.is_decision else np.nan
    return {
        "right": _number(right, 3),
        "value": _number(value, 3),
        "rank": _number(values.rank[row], 1),
    }


def _number(value: float, digits: int) -> float | int | None:
    """A rounded number for JSON; None for NaN, an int where it is one."""
    if np.isnan(value):
        return None
    number = round(float(value), digits)
    return int(number) if number.is_integer() else number


def _cut(
    text: Text, rows: list[dict], names: list[str], with_context: bool, most_tokens: int
) -> tuple[dict[str, Any], dict[str, list]]:
    """How the tokens cut a text, and the numbers of each piece."""
    whole, n_context = text.context + text.target, len(text.context)
    pieces: list[tuple[str, dict | None, bool]] = []  # text, row, whether of the context
    end = 0  # of the characters that have a piece
    for row in rows[:most_tokens]:
        if row["start"] > end and whole[end : row["start"]].strip():
            pieces += _unscored(whole, end, row["start"], n_context)
            end = row["start"]
        pieces.append((whole[end : row["end"]], row, not row["is_target"]))
        end = max(end, row["end"])
    pieces += _unscored(whole, end, len(whole), n_context)
    if not with_context:
        pieces = [piece for piece in pieces if not piece[2]]
    cut = {
        "pieces": [for_terminal(piece, lines=True) for piece, _, _ in pieces],
        "n_context": sum(is_context for _, _, is_context in pieces),
    }
    numbers: dict[str, list] = {"bits": [], "ranks": [], "entropies": [], "tops": []}
    for _, scored, _ in pieces:
        said = _said(scored, names) if scored else dict.fromkeys(numbers)
        for name, column in numbers.items():
            column.append(said[name])
    return cut, numbers


def _said(row: dict, names: list[str]) -> dict[str, Any]:
    """The numbers of a token row, under the names that they have for a page."""
    return {
        "bits": _number(-row["logprob"] / BITS + 0.0, 1),
        "ranks": row["rank"],
        "entropies": _number(row["entropy"], 1),
        "tops": _tops(row, names),
    }


def _unscored(
    whole: str, start: int, end: int, n_context: int
) -> list[tuple[str, dict | None, bool]]:
    """The characters from `start` to `end` as pieces without a token, context and target apart."""
    pieces: list[tuple[str, dict | None, bool]] = []
    if start < min(end, n_context):
        pieces.append((whole[start : min(end, n_context)], None, True))
    if max(start, n_context) < end:
        pieces.append((whole[max(start, n_context) : end], None, False))
    return pieces


def _tops(row: dict, names: list[str]) -> list | int:
    """The first choices in place of a token, with their probabilities in per cent.

    0 where the token is the only one that was recorded.
    """
    ids = row.get("top_ids") or [row["top_id"]]
    logprobs = row.get("top_logprobs") or [row["top_logprob"]]
    if len(ids) == 1 and row["rank"] == 1:
        return 0
    tops = []
    for number, logprob in zip(ids, logprobs, strict=True):
        percent = _number(100 * math.exp(logprob), 1)
        tops.append([for_terminal(text_of(names, number)), percent])
    return tops
