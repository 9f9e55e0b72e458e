"""Prompt templates in a YAML file of the user's choice.

The file goes in. Its mapping comes out, and texts are filled in.

A template is text with fields in braces; {{ and }} stand for braces themselves. A field may say how
it is written: `{question:reversed}`, `{question:leetspeak}`, `{question:uppercase}`,
`{question:json}` (escaped for a JSON string).
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from string import Formatter
from typing import Any

from lmcore.errors import InputError
from lmcore.params import yaml_text
from lmcore.text_files import checked_text, described, read_text

# of tasks/formats.py: the names of variants, and the kinds of format
BASELINE = "plain"
FORMAT, TRIGGER = "format", "trigger"
KINDS = ("natural", "plain", "unnatural")
TYPES: dict[type, str] = {dict: "mapping", list: "list", str: "text"}  # as messages call them
FREE = "free"  # of tasks/prompting.py: the variants without content
LEET = str.maketrans("aeiostAEIOST", "431057431057")
# characters within a text that YAML may take for the end of a line
LINE_ENDS = re.compile("[\x85\u2028\u2029]")
WAYS: dict[str, Callable[[str], str]] = {
    "": str,
    "reversed": lambda text: text[::-1],
    "leetspeak": lambda text: text.translate(LEET),
    "uppercase": str.upper,
    "json": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
}


class Field(str):
    """A text that `format` writes in one of WAYS, which the template names."""

    def __format__(self, way: str) -> str:
        return WAYS[way](str(self))


def read_yaml(
    path: Path, keys: dict[str, type], optional: dict[str, tuple[type, ...]] | None = None
) -> dict[str, Any]:
    """The mapping in a YAML file; `keys` and `optional` give the types that its keys must have.

    The mapping must have all of `keys`, with values that are not empty. Raises InputError naming
    file and key.
    """
    optional = optional or {}
    text = read_text(path, f"YAML with the keys {', '.join(keys)}")
    _check_line_ends(text, path)
    values = yaml_text.load_mapping(text, path, f"a mapping with the keys {', '.join(keys)}")
    for key, kind in keys.items():
        if not isinstance(values.get(key), kind) or not values[key]:
            raise InputError(
                f"{path}: the key '{key}' must be a {TYPES[kind]} that is not empty, "
                f"not {values.get(key)!r}"
            )
    for key, kinds in optional.items():
        if key in values and not isinstance(values[key], kinds):
            expected = " or a ".join(TYPES[kind] for kind in kinds)
            raise InputError(
                f"{path}: the key '{key}' must be a {expected}, not {described(values[key])}"
            )
    known = [*keys, *optional]
    if unknown := [key for key in values if key not in known]:
        raise InputError(f"{path}: unknown key '{unknown[0]}'; expected {', '.join(known)}")
    return values


def fill(template: str, where: str, **fields: str) -> str:
    """`template` with the fields filled in.

    Raises InputError, naming `where`, for a field or a way of writing that does not exist.
    """
    try:
        for _, name, _, conversion in Formatter().parse(template):
            # {text.upper} and {text[0]} are no names of `fields`, {text!r} is a conversion
            if name is not None and (name not in fields or conversion):
                raise KeyError(name)
        return template.format(**{name: Field(value) for name, value in fields.items()})
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        ways = ", ".join(f":{way}" for way in WAYS if way)
        raise InputError(
            f"{where}: the template {template!r} cannot be filled ({error}); its fields may be "
            f"{', '.join(fields)}, with no suffix or one of {ways}"
        ) from error


def read_templates(path: Path) -> tuple[dict[str, dict], dict[str, list[str]]]:
    """The formats and the triggers of a YAML file, as lmcore.suites.tasks.formats describes it.

    Raises InputError, naming the file, for anything else.
    """
    values = read_yaml(path, {"formats": dict, "triggers": dict})
    formats, triggers = values["formats"], values["triggers"]
    if BASELINE not in formats:
        raise InputError(
            f"{path}: formats must have one called '{BASELINE}', with which the others are compared"
        )
    for name, entry in formats.items():
        _check_format(name, entry, path)
    for source, texts in triggers.items():
        _check_triggers(source, texts, path)
    return formats, triggers


def read_prompts(path: Path) -> dict:
    """The mapping of a YAML file of strategies, as lmcore.suites.tasks.prompting describes it.

    Raises InputError for other keys, and for a text without content that is no text.
    """
    values = read_yaml(
        path, {"strategies": dict, "content_free": list}, optional={"examples": (list, str)}
    )
    for number, text in enumerate(values["content_free"]):
        checked_text(text, f"{path}: content_free: number {number}")
    return values


def _check_line_ends(text: str, path: Path) -> None:
    if odd := LINE_ENDS.search(text):
        line = 1 + text.count("\n", 0, odd.start())
        code = ord(odd[0])
        raise InputError(
            f"{path}: line {line}: YAML may end a line at U+{code:04X}; "
            f'write it as "\\u{code:04x}", in double quotes'
        )


def _check_format(name: object, entry: Any, path: Path) -> None:
    _check_name(name, path)
    has_keys = isinstance(entry, dict) and set(entry) == {"kind", "template"}
    if not has_keys or entry["kind"] not in KINDS:
        raise InputError(
            f"{path}: format '{name}' must have a kind ({', '.join(KINDS)}) and a template, "
            f"not {entry!r}"
        )
    template = checked_text(entry["template"], f"{path}: the template of format '{name}'")
    if "{question" not in template:
        raise InputError(f"{path}: the template of format '{name}' has no {{question}}")


def _check_triggers(source: object, texts: Any, path: Path) -> None:
    _check_name(source, path)
    is_list = isinstance(texts, list) and len(texts) > 0
    if not is_list or not all(isinstance(text, str) and text for text in texts):
        raise InputError(f"{path}: triggers of '{source}' must be a list of texts, not {texts!r}")
    for number, text in enumerate(texts):
        checked_text(text, f"{path}: trigger {number} of '{source}'")


def _check_name(name: object, path: Path) -> None:
    if not isinstance(name, str) or not name.replace("_", "").isalnum():
        raise InputError(f"{path}: the name {name!r} must be of letters, digits and _ alone")
