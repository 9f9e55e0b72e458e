"""Prompting strategies: the same texts classified under several ways of asking; texts and a YAML file of strategies go in, records of kind
choices come out, in which every strategy but the first is a variant of the item.

The YAML holds `strategies`, {name: {template: text with {text}, labels: {class: word}, and perhaps shots: true}}, and `content_free`, texts
without content, whose answers tell how a prompt leans by itself (contextual calibration, Zhao et al. 2021,
https://proceedings.mlr.press/v139/zhao21c.html): they are the variants `STRATEGY/free/NUMBER`. It may hold `examples`, the user's own
few-shot prompt: a list of {text, label}, or the path of a data file with these columns.

Shots are solved examples before the question, as many of each class, drawn by a seed from the texts themselves and set apart: no item is
among them, under any strategy. By default the texts are SST-2's (see lmcore.suites.tasks.sst2); others are a file with the columns `text`,
`label`.
"""

import random
from pathlib import Path

from lmcore.errors import InputError
from lmcore.params.ranges import Line, Seed, Whole
from lmcore.suites.conventions import Classes
from lmcore.suites.records import SUFFIXES, Record, Row, find, read_records
from lmcore.suites.templates import FREE, fill, read_prompts
from lmcore.text_files import checked_text, described

SEPARATOR = "\n\n"  # between the shots


def build(
    source: Path, *, prompts: Line, classes: Classes, shots: Whole, seed: Seed
) -> list[Record]:
    """Records of kind choices, whose options are the `classes` in their order; each class has an equal part of the `shots`.

    Raises InputError where the shots cannot be shared out, a label is no class, or a template is not as the module says.
    """
    path, names = Path(prompts), [str(name) for name in classes]
    values = read_prompts(path)
    strategies = {
        name: _strategy(name, entry, names, path) for name, entry in values["strategies"].items()
    }
    texts = _labelled(source, names)
    if "examples" in values:
        own = values["examples"]
        found = _of_yaml(own, names, path) if isinstance(own, list) else _labelled(Path(own), names)
        examples = list(found)
    else:
        examples = draw_shots(list(texts), len(names), shots, seed, source)
    apart = {text for text, _ in examples}
    records = []
    for (text, label), where in texts.items():
        if text not in apart:
            first, *others = prompts_of(
                text, strategies, names, examples, values["content_free"], path
            ).items()
            records.append(Record({**first[1], "gold": label, "variants": dict(others)}, where))
    return records


def prompts_of(
    text: str, strategies: dict, classes: list[str], examples: list, content_free: list, path: Path
) -> dict[str, dict]:
    """{variant: {context, options}} of a text, and of the content-free ones in its place; the first strategy comes first."""
    found: dict[str, dict] = {}
    for name, entry in strategies.items():
        options = [entry["labels"][label] for label in classes]
        shown = examples if entry.get("shots") else []
        solved = "".join(
            fill(entry["template"], str(path), text=shot) + " " + options[label] + SEPARATOR
            for shot, label in shown
        )
        asked = {name: text} | {f"{name}/{FREE}/{n}": free for n, free in enumerate(content_free)}
        found |= {
            variant: {
                "context": solved + fill(entry["template"], str(path), text=said),
                "options": options,
            }
            for variant, said in asked.items()
        }
    return found


def draw_shots(
    texts: list[tuple[str, int]], n_classes: int, shots: int, seed: int, source: Path
) -> list[tuple[str, int]]:
    """`shots` of the texts, as many of each class, in random order."""
    if shots < 0 or shots % n_classes:
        raise InputError(
            f"task prompting: shots must be a multiple of the {n_classes} classes, as many of each, not {shots}"
        )
    rng, drawn = random.Random(seed), []
    for label in range(n_classes):
        of_class = [pair for pair in texts if pair[1] == label]
        if len(of_class) <= shots // n_classes:
            raise InputError(
                f"{source}: class {label} has {len(of_class)} texts, too few for {shots // n_classes} shots and an item"
            )
        drawn += rng.sample(of_class, shots // n_classes)
    rng.shuffle(drawn)
    return drawn


def _labelled(source: Path, classes: list[str]) -> dict[tuple[str, int], str]:
    """Texts with the numbers of their classes, and where each stands first; again it is left out, or an item could be among the shots."""
    files = find(source, *SUFFIXES) if source.is_dir() else [source]
    found: dict[tuple[str, int], str] = {}
    for file in files:
        for row in read_records(file):
            found.setdefault(_example(row, classes), row.where)
    return found


def _of_yaml(examples: list, classes: list[str], path: Path) -> list[tuple[str, int]]:
    found = []
    for number, example in enumerate(examples, 1):
        where = f"{path}: example {number}"
        if not isinstance(example, dict):
            raise InputError(
                f"{where} must be a mapping with text and label, not {described(example)}"
            )
        found.append(_example(Row(example, where), classes))
    return found


def _example(row: Row, classes: list[str]) -> tuple[str, int]:
    """A text (in the column `text`, or `sentence`) and the number of its class."""
    text = (row.optional("text") or row.optional("sentence")).strip()
    if not text:
        raise InputError(
            f"{row.where} has no text; expected one, and a label: one of {', '.join(classes)}"
        )
    label = row.label("label") if "label" in row else ""
    name = str(label).removesuffix(".0") if isinstance(label, float) else str(label)
    numbers = [str(number) for number in range(len(classes))]
    if name not in (*classes, *numbers):
        raise InputError(
            f"{row.where}: the label must be one of {', '.join(classes)}, or its number, not {described(label)}"
        )
    return text, classes.index(name) if name in classes else int(name)


def _strategy(name: object, entry: object, classes: list[str], path: Path) -> dict:
    if not isinstance(name, str) or not name.replace("_", "").isalnum():
        raise InputError(
            f"{path}: the name {name!r} of a strategy must be of letters, digits and _ alone"
        )
    if not isinstance(entry, dict) or not {"template", "labels"} <= set(entry) <= {
        "template",
        "labels",
        "shots",
    }:
        raise InputError(
            f"{path}: strategy '{name}' must have a template and labels, and perhaps shots: true, not {entry!r}"
        )
    if not isinstance(entry["labels"], dict) or set(map(str, entry["labels"])) != set(classes):
        raise InputError(
            f"{path}: strategy '{name}' must have a label for each class: {', '.join(classes)}; it has {entry['labels']!r}"
        )
    if not isinstance(entry.get("shots", False), bool):
        raise InputError(
            f"{path}: strategy '{name}': shots must be true or false, not {described(entry['shots'])}"
        )
    template = checked_text(entry["template"], f"{path}: the template of strategy '{name}'")
    labels = {
        str(label): checked_text(text, f"{path}: strategy '{name}': label '{label}'")
        for label, text in entry["labels"].items()
    }
    return {**entry, "template": template, "labels": labels}
