"""Prompting strategies: the same texts, classified under several ways of asking.

Texts and a YAML file of strategies go in. Records of kind choices come out, in which every strategy
but the first is a variant of the item.

The YAML file holds:

- `strategies`: {name: {template: text with {text}, labels: {class: word}}}, and `shots: true` in
  the strategies that show solved examples;
- `content_free`: texts without content. The answers to them tell which class a prompt prefers by
  itself (contextual calibration, Zhao et al. 2021, https://proceedings.mlr.press/v139/zhao21c.html).
  They are the variants `STRATEGY/free/NUMBER`.
- `examples`, which may be absent: the user's own few-shot prompt, as a list of {text, label}, or as
  the path of a data file with these columns.

Shots are solved examples before the question, as many of each class. They are drawn by a seed from
the texts themselves and set apart, so no item is among them under any strategy. By default the
texts are SST-2's (see lmcore.suites.tasks.sst2). Other texts are a file with the columns `text` and
`label`.
"""

from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.params.ranges import Line, Seed, Whole
from lmcore.suites.conventions import Classes
from lmcore.suites.records import SUFFIXES, Record, Row, find, read_records
from lmcore.suites.shots import SEPARATOR, draw
from lmcore.suites.templates import FREE, fill, read_prompts
from lmcore.text_files import checked_text, described

KEYS = {"template", "labels", "shots"}  # of a strategy


def build(
    source: Path, *, prompts: Line, classes: Classes, shots: Whole, seed: Seed
) -> list[Record]:
    """Records of kind choices, whose options are the `classes` in their order.

    Each class has an equal part of the `shots`. Raises InputError where the shots cannot be shared
    out, a label is no class, or a strategy is not as the module describes it.
    """
    path = Path(prompts)
    names = [str(name) for name in classes]
    values = read_prompts(path)
    strategies = {
        name: _strategy(name, entry, names, path) for name, entry in values["strategies"].items()
    }
    texts = _labelled(source, names)
    if "examples" in values:
        examples = _own_examples(values["examples"], names, path)
    else:
        examples = draw_shots(list(texts), len(names), shots, seed, source)
    example_texts = {text for text, _ in examples}
    content_free = values["content_free"]
    records = []
    for (text, label), where in texts.items():
        if text not in example_texts:
            variants = prompts_of(text, strategies, names, examples, content_free, path)
            item = variants.pop(next(iter(strategies)))
            records.append(Record({**item, "gold": label, "variants": variants}, where))
    return records


def prompts_of(
    text: str, strategies: dict, classes: list[str], examples: list, content_free: list, path: Path
) -> dict[str, dict]:
    """{variant: {context, options}} of a text, and of the content-free texts in its place.

    The first strategy comes first. `examples` are texts with the numbers of their classes.
    """
    variants: dict[str, dict] = {}
    for name, entry in strategies.items():
        template = entry["template"]
        options = [entry["labels"][label] for label in classes]
        shots = ""
        for shot, label in examples if entry.get("shots") else []:
            shots += f"{fill(template, str(path), text=shot)} {options[label]}{SEPARATOR}"
        texts = {name: text}
        for number, free_text in enumerate(content_free):
            texts[f"{name}/{FREE}/{number}"] = free_text
        for variant, asked in texts.items():
            context = shots + fill(template, str(path), text=asked)
            variants[variant] = {"context": context, "options": options}
    return variants


def draw_shots(
    texts: list[tuple[str, int]], n_classes: int, shots: int, seed: int, source: Path
) -> list[tuple[str, int]]:
    """`shots` of the texts, as many of each class, in random order.

    Raises InputError for a number of shots that the classes cannot share equally, and for a class
    with too few texts to leave an item.
    """
    if shots < 0 or shots % n_classes:
        raise InputError(
            f"task prompting: shots must be a multiple of {n_classes}, the number of classes, "
            f"so that there are equally many of each class; not {shots}"
        )
    labels = [label for _, label in texts]
    for label in range(n_classes):
        if labels.count(label) <= shots // n_classes:
            raise InputError(
                f"{source}: class {label} has {labels.count(label)} texts, "
                f"too few for {shots // n_classes} shots and an item"
            )
    return [texts[number] for number in draw(labels, shots, seed, str(source))]


def _own_examples(examples: list | str, classes: list[str], path: Path) -> list[tuple[str, int]]:
    """The user's own examples: `examples` is a list of them, or the path of a data file."""
    if isinstance(examples, str):
        return list(_labelled(Path(examples), classes))
    own = []
    for number, example in enumerate(examples, 1):
        where = f"{path}: example {number}"
        if not isinstance(example, dict):
            raise InputError(
                f"{where} must be a mapping with text and label, not {described(example)}"
            )
        own.append(_example(Row(example, where), classes))
    return own


def _labelled(source: Path, classes: list[str]) -> dict[tuple[str, int], str]:
    """Texts with the numbers of their classes, each with the place where it stands first.

    A text that stands there again is left out, because an item could otherwise be among the shots.
    """
    files = find(source, *SUFFIXES) if source.is_dir() else [source]
    places: dict[tuple[str, int], str] = {}
    for file in files:
        for row in read_records(file):
            places.setdefault(_example(row, classes), row.where)
    return places


def _example(row: Row, classes: list[str]) -> tuple[str, int]:
    """A text (in the column `text`, or `sentence`) and the number of its class."""
    text = (row.optional("text") or row.optional("sentence")).strip()
    if not text:
        raise InputError(
            f"{row.where} has no text; expected a text and a label, one of {', '.join(classes)}"
        )
    label = row.label("label") if "label" in row else ""
    name = str(label).removesuffix(".0") if isinstance(label, float) else str(label)
    numbers = [str(number) for number in range(len(classes))]
    if name not in (*classes, *numbers):
        raise InputError(
            f"{row.where}: the label must be one of {', '.join(classes)}, or its number, "
            f"not {described(label)}"
        )
    return text, classes.index(name) if name in classes else int(name)


def _strategy(name: object, entry: Any, classes: list[str], path: Path) -> dict:
    """One strategy of the YAML file, its labels by class.

    Raises InputError where it is not as the module describes it.
    """
    if not isinstance(name, str) or not name.replace("_", "").isalnum():
        raise InputError(
            f"{path}: the name {name!r} of a strategy must be of letters, digits and _ alone"
        )
    keys = set(entry) if isinstance(entry, dict) else set()
    if not {"template", "labels"} <= keys <= KEYS:
        raise InputError(
            f"{path}: strategy '{name}' must have a template and labels, "
            f"and perhaps shots: true, not {entry!r}"
        )
    if not isinstance(entry["labels"], dict) or set(map(str, entry["labels"])) != set(classes):
        raise InputError(
            f"{path}: strategy '{name}' must have a label for each class: {', '.join(classes)}; "
            f"it has {entry['labels']!r}"
        )
    if not isinstance(entry.get("shots", False), bool):
        raise InputError(
            f"{path}: strategy '{name}': shots must be true or false, "
            f"not {described(entry['shots'])}"
        )
    template = checked_text(entry["template"], f"{path}: the template of strategy '{name}'")
    labels = {
        str(label): checked_text(text, f"{path}: strategy '{name}': label '{label}'")
        for label, text in entry["labels"].items()
    }
    return {**entry, "template": template, "labels": labels}
