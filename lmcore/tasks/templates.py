"""Prompt templates in a YAML file of the user's choice: the file goes in, its mapping comes out, and texts are filled in.

A template is text with fields in braces ({{ and }} for braces themselves). A field may say how it is written: `{question:reversed}`,
`{question:leetspeak}`, `{question:uppercase}`, `{question:json}` (escaped for a JSON string).
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from string import Formatter
from typing import Any

from lmcore import yaml_text
from lmcore.errors import InputError
from lmcore.text_files import read_text

LEET = str.maketrans("aeiostAEIOST", "431057431057")
LINE_ENDS = re.compile("[\x85\u2028\u2029]")  # characters of a text that YAML may take for the end of a line
WAYS: dict[str, Callable[[str], str]] = {
    "": str,
    "reversed": lambda text: text[::-1],
    "leetspeak": lambda text: text.translate(LEET),
    "uppercase": str.upper,
    "json": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
}


class Field(str):
    """A text that `format` writes as one of WAYS says."""

    def __format__(self, way: str) -> str:
        return WAYS[way](str(self))


def read_yaml(path: Path, keys: dict[str, type], optional: dict[str, tuple[type, ...]] | None = None) -> dict[str, Any]:
    """The mapping in a YAML file; `keys` and `optional` say which types its keys must have. Raises InputError naming file and key."""
    text = read_text(path, f"YAML with the keys {', '.join(keys)}")
    if odd := LINE_ENDS.search(text):
        line = 1 + text.count("\n", 0, odd.start())
        code = ord(odd[0])
        raise InputError(f'{path}: line {line}: YAML may end a line at U+{code:04X}; write it as "\\u{code:04x}", in double quotes')
    values = yaml_text.load(text, path)
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a mapping with the keys {', '.join(keys)}")
    for key, kind in keys.items():
        if not isinstance(values.get(key), kind) or not values[key]:
            raise InputError(f"{path}: the key '{key}' must be a {kind.__name__} that is not empty, not {values.get(key)!r}")
    for key, kinds in (optional or {}).items():
        if key in values and not isinstance(values[key], kinds):
            raise InputError(f"{path}: the key '{key}' must be a {' or a '.join(kind.__name__ for kind in kinds)}, not {values[key]!r}")
    known = [*keys, *(optional or {})]
    if unknown := [key for key in values if key not in known]:
        raise InputError(f"{path}: unknown key '{unknown[0]}'; expected {', '.join(known)}")
    return values


def fill(template: str, where: str, **fields: str) -> str:
    """`template` with the fields filled in. Raises InputError, naming `where`, for a field or a way of writing that there is not."""
    try:
        for _, name, _, conversion in Formatter().parse(template):
            if name is not None and (name not in fields or conversion):  # not {text.upper}, {text[0]}, {text!r}
                raise KeyError(name)
        return template.format(**{name: Field(value) for name, value in fields.items()})
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        ways = ", ".join(way for way in WAYS if way)
        raise InputError(
            f"{where}: the template {template!r} cannot be filled ({error}); fields are {', '.join(fields)}, written as :{ways}"
        ) from error
