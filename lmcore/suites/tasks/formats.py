"""Prompt formats: is an answer more likely where the question looks like text of the training data?

Questions and templates go in. Records of kind choices come out, in which every format and every
trigger is a variant of the item.

The questions are a file with the columns `question`, `answer`, `incorrect` (and more columns whose
names begin with `incorrect`) and, optionally, `topic`. The templates are a YAML file:

- `formats`: {name: {kind: natural, plain or unnatural, template: text with {question}}}. The format
  called `plain` is the baseline and the item itself. The others are variants `format/NAME`.
- `triggers`: {source: [text that is put before the plain question, …]}. They are the variants
  `trigger/SOURCE/NUMBER`.

The answer, with the space before it, is the same under all of them.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.params.ranges import Line
from lmcore.suites.records import Record, read_records
from lmcore.suites.templates import BASELINE, FORMAT, TRIGGER, fill, read_templates

EXPECTED = "a question, an answer and an incorrect one"


def build(path: Path, *, templates: Line) -> list[Record]:
    """Records of kind choices, the answer first; `variants` has the prompts by format and trigger.

    Raises InputError where a question or an answer is missing, or a template cannot be filled.
    """
    formats, triggers = read_templates(Path(templates))
    records = []
    for row in read_records(path):
        question = row.filled("question", EXPECTED)
        answer = row.filled("answer", EXPECTED)
        wrong = row.beginning("incorrect")
        if not wrong:
            raise InputError(f"{row.where} has no 'incorrect'; expected {EXPECTED}")
        prompts = {
            name: fill(entry["template"], templates, question=question)
            for name, entry in formats.items()
        }
        variants = _variants(prompts, triggers)
        records.append(
            row.record(
                context=prompts[BASELINE],
                options=[answer, *wrong],
                gold=0,
                group=row.name("topic") or "all",
                variants={name: {"context": prompt} for name, prompt in variants.items()},
            )
        )
    return records


def _variants(prompts: dict[str, str], triggers: dict[str, list[str]]) -> dict[str, str]:
    """The prompts of a question by variant; `prompts` are those of the formats, by name."""
    variants = {}
    for name, prompt in prompts.items():
        if name != BASELINE:
            variants[f"{FORMAT}/{name}"] = prompt
    for source, texts in triggers.items():
        for number, text in enumerate(texts):
            variants[f"{TRIGGER}/{source}/{number}"] = f"{text} {prompts[BASELINE]}"
    return variants
