"""The section on items, one by one: sets of items go in, HTML with data and a script comes out.

The script (items.js) lets the reader pick a suite and two sides, and shows the texts under both.
Without JavaScript, there is a table of the first items.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from markupsafe import Markup

from lmcore.figures.rectangle import rectangle
from lmcore.items.embedded import embedded
from lmcore.items.sides import ItemSet, side_of_files
from lmcore.report.figures import drawn
from lmcore.report.layout import macros, script_json
from lmcore.tables import ITEMS, read

N_PLAIN = 12  # items in the table without JavaScript
MORE = "More items: <code>lmcore view</code> shows all."


class Plain(NamedTuple):
    """An item as the page shows it without JavaScript."""

    id: str
    group: str
    texts: list[str]
    sides: list[str]


def items_section(
    models: dict[str, list[str]],
    kinds: dict[str, str],
    items: Path,
    scores: Path,
    tokens: Path,
    model_folders: Path,
) -> Markup:
    """The explorer of every suite under the models that are scored on it, {suite: models}.

    `kinds` are those of the suites. Without any item that the models share, the section is empty.
    """
    sets = [
        files_set(suite, kinds[suite], of_suite, items, scores, tokens, model_folders)
        for suite, of_suite in models.items()
    ]
    return explorer(embedded(sets), "suite", Markup(MORE))


def files_set(
    suite: str,
    kind: str,
    models: Sequence[str],
    items: Path,
    scores: Path,
    tokens: Path,
    model_folders: Path,
) -> ItemSet:
    """A suite under these models, from the folders that the pipeline fills."""
    sides = [
        side_of_files(
            model,
            scores / model / f"{suite}.parquet",
            tokens / model / suite,
            model_folders / model,
        )
        for model in models
    ]
    return ItemSet(suite, kind, partial(_items, items / f"{suite}.parquet"), sides)


def explorer(sets: list[dict[str, Any]], of_sets: str, where_more: Markup) -> Markup:
    """The explorer of sets as lmcore.items.embedded gives them; empty where there is none.

    `of_sets` says what they are, and `where_more` where more items are to be had.
    """
    if not sets:
        return Markup("")
    data = {"isServed": False, "ofSets": of_sets, "sets": sets}
    first = [_plain(item, sets[0]) for item in sets[0]["items"][:N_PLAIN]]
    label = sets[0]["label"]
    return macros(__name__).explorer(script_json(data), _values(), first, label, where_more)


def served_explorer(sets: list[dict[str, Any]]) -> Markup:
    """The explorer whose items are asked of the server that the page comes from."""
    data = {"isServed": True, "ofSets": "suite", "sets": sets}
    return macros(__name__).explorer(script_json(data), _values(), [], "", Markup(""))


def _values() -> Markup:
    """The figure of the items' values, in which the reader can choose some of them."""
    label = "Items by their values under A and B: draw a rectangle to list those in it alone"
    return drawn(rectangle("values", label))


def _items(path: Path) -> pa.Table:
    return read(path, ITEMS)


def _plain(item: dict[str, Any], of_set: dict[str, Any]) -> Plain:
    """An item for the table without JavaScript: its texts as the first side cuts them."""
    texts = []
    for option in item["options"]:
        text = "".join(option["cuts"][0]["pieces"])
        texts.append(f"{'✓ ' if option['gold'] and len(item['options']) > 1 else ''}{text}")
    sides = []
    for side, values in zip(of_set["sides"], item["sides"], strict=True):
        value = "–" if values["value"] is None else f"{values['value']:.2f}"
        right = "" if values["right"] is None else f", right: {values['right']:g}"
        sides.append(f"{side['name']}: {value}{right}")
    return Plain(item["id"], item["group"], texts, sides)
