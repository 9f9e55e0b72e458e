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
from lmcore.ranges import Line
from lmcore.tasks.records import Record, read_records
from lmcore.tasks.templates import fill, read_yaml
from lmcore.text_files import checked_text

BASELINE = "plain"
KINDS = ("natural", "plain", "unnatural")
FORMAT, TRIGGER = "format", "trigger"
EXPECTED = "a question, an answer and an incorrect one"


def build(path: Path, *, templates: Line) -> list[Record]:
    """Records of kind choices, the answer first, and in `variants` their prompts by format and trigger."""
    formats, triggers = read_templates(Path(templates))
    records = []
    for row in read_records(path):
        question, answer, wrong = row.filled("question", EXPECTED), row.filled("answer", EXPECTED), row.beginning("incorrect")
        if not wrong:
            raise InputError(f"{row.where} has no 'incorrect'; expected {EXPECTED}")
        prompts = {name: fill(entry["template"], templates, question=question) for name, entry in formats.items()}
        variants = {f"{FORMAT}/{name}": prompt for name, prompt in prompts.items() if name != BASELINE}
        for source, texts in triggers.items():
            variants |= {f"{TRIGGER}/{source}/{n}": f"{text} {prompts[BASELINE]}" for n, text in enumerate(texts)}
        changes = {name: {"context": prompt} for name, prompt in variants.items()}
        group = row.name("topic") or "all"
        records.append(row.record(context=prompts[BASELINE], options=[answer, *wrong], gold=0, group=group, variants=changes))
    return records


def read_templates(path: Path) -> tuple[dict[str, dict], dict[str, list[str]]]:
    """Formats and triggers of a file. Raises InputError, naming it, for what is not as the module says."""
    values = read_yaml(path, {"formats": dict, "triggers": dict})
    formats, triggers = values["formats"], values["triggers"]
    if BASELINE not in formats:
        raise InputError(f"{path}: formats must have one called '{BASELINE}', with which the others are compared")
    for name, entry in formats.items():
        _check_name(name, path)
        if not isinstance(entry, dict) or set(entry) != {"kind", "template"} or entry["kind"] not in KINDS:
            raise InputError(f"{path}: format '{name}' must have a kind ({', '.join(KINDS)}) and a template, not {entry!r}")
        if "{question" not in checked_text(entry["template"], f"{path}: the template of format '{name}'"):
            raise InputError(f"{path}: the template of format '{name}' has no {{question}}")
    for source, texts in triggers.items():
        _check_name(source, path)
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
            raise InputError(f"{path}: triggers of '{source}' must be a list of texts, not {texts!r}")
        for number, text in enumerate(texts):
            checked_text(text, f"{path}: trigger {number} of '{source}'")
    return formats, triggers


def _check_name(name: object, path: Path) -> None:
    if not isinstance(name, str) or not name.replace("_", "").isalnum():
        raise InputError(f"{path}: the name {name!r} must be of letters, digits and _ alone")
