"""Prompt formats: is an answer likelier where the question looks like text of the training data? Questions and templates go in, records of
kind choices come out, in which every format and every trigger is a variant of the item.

Questions are a file with the columns `question`, `answer`, `incorrect` (and further ones that begin so), perhaps `topic`. Templates are a
YAML file:

- `formats`: {name: {kind: natural, plain or unnatural, template: text with {question}}}; the one called `plain` is the baseline and the
  item itself, the others are variants `format/NAME`;
- `triggers`: {source: [text that is put before the plain question, …]}, the variants `trigger/SOURCE/NUMBER`.

The answer, with the space before it, is the same under all of them.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.params.ranges import Line
from lmcore.suites.records import Record, read_records
from lmcore.suites.templates import BASELINE, FORMAT, TRIGGER, fill, read_templates

EXPECTED = "a question, an answer and an incorrect one"


def build(path: Path, *, templates: Line) -> list[Record]:
    """Records of kind choices, the answer first, and in `variants` their prompts by format and trigger."""
    formats, triggers = read_templates(Path(templates))
    records = []
    for row in read_records(path):
        question, answer, wrong = (
            row.filled("question", EXPECTED),
            row.filled("answer", EXPECTED),
            row.beginning("incorrect"),
        )
        if not wrong:
            raise InputError(f"{row.where} has no 'incorrect'; expected {EXPECTED}")
        prompts = {
            name: fill(entry["template"], templates, question=question)
            for name, entry in formats.items()
        }
        variants = {
            f"{FORMAT}/{name}": prompt for name, prompt in prompts.items() if name != BASELINE
        }
        for source, texts in triggers.items():
            variants |= {
                f"{TRIGGER}/{source}/{n}": f"{text} {prompts[BASELINE]}"
                for n, text in enumerate(texts)
            }
        changes = {name: {"context": prompt} for name, prompt in variants.items()}
        group = row.name("topic") or "all"
        records.append(
            row.record(
                context=prompts[BASELINE],
                options=[answer, *wrong],
                gold=0,
                group=group,
                variants=changes,
            )
        )
    return records
