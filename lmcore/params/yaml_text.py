"""YAML as DVC reads it: the text of a file goes in, values come out, and the other way round.

This is YAML 1.2: `no` is a text, `010` is ten, and `1e-5` is a number. A key that stands twice is
refused. Everything that reads or writes YAML does it here.

Source: dvc/utils/serialize/_yaml.py.
"""

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from lmcore.errors import InputError
from lmcore.params.schema import shown
from lmcore.shown import for_terminal
from lmcore.text_files import first_line


class Constructor(SafeConstructor):
    """Makes plain values only.

    A value that cannot exist, such as the date 2026-99-99, is an error that names a line.
    """

    def construct_object(self, node, deep=False):
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            problem = f"not a value of its kind: {error}"
            raise ConstructorError(None, None, problem, node.start_mark) from error


def load_mapping(
    text: str,
    source: str | Path,
    expected: str = "a mapping of sections",
    *,
    may_be_empty: bool = False,
    keep_comments: bool = False,
) -> dict[str, Any]:
    """The mapping that a text holds.

    `expected` says in messages what the text should have been. If a text `may_be_empty`, an empty
    one is an empty mapping. `keep_comments` is that of `load`.

    Raises InputError as `load`, and for a text that holds anything else.
    """
    values = load(text, source, keep_comments=keep_comments)
    if values is None and may_be_empty:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"{source}: expected {expected}, not {shown(values)}")
    return values


def without_entry(text: str, section: str, name: str) -> str:
    """The text without the entry `name` of a section, and without the comments that are its own.

    A comment above the next entry stays; so does one above the first entry, which is the section's.
    The text is as it was where the entry does not stand on lines of its own.
    """
    lines = text.splitlines(keepends=True)
    inside = False  # of the section
    first = start = end = None  # numbers of lines
    indent = 0
    for number, line in enumerate(lines):
        is_content = bool(line.strip()) and not line.lstrip().startswith("#")
        depth = len(line) - len(line.lstrip())
        if is_content and depth == 0:
            if inside:
                end = number if end is None else end
                break
            inside = line.split("#")[0].rstrip() == f"{section}:"
        elif is_content and inside:
            indent = depth if first is None else indent
            first = number if first is None else first
            if start is not None and end is None and depth <= indent:
                end = number
            if start is None and depth == indent and line.strip().split(":")[0] == name:
                start = number
    if start is None:
        return text
    end = len(lines) if end is None else end
    while not lines[end - 1].strip() or _is_comment(lines[end - 1], indent):
        end -= 1  # blank lines and comments that belong to what follows
    while start != first and _is_comment(lines[start - 1], indent):
        start -= 1
    return "".join(lines[:start] + lines[end:])


def _is_comment(line: str, most: int) -> bool:
    """Whether a line is a comment alone that is not indented deeper than that."""
    return line.lstrip().startswith("#") and len(line) - len(line.lstrip()) <= most


def load(text: str, source: str | Path, *, keep_comments: bool = False) -> Any:
    """The value of a text.

    With `keep_comments`, `dump` writes it with the comments and quotes of the text. Raises
    InputError, which names `source` and the line, for a text that is not YAML.
    """
    yaml = _keeper() if keep_comments else _reader()
    try:
        return yaml.load(text)
    except ReaderError as error:
        line = 1 + text.count("\n", 0, error.position)
        problem = f"the character #x{ord(text[error.position]):04x} cannot stand in YAML"
        raise InputError(f"{source}: line {line}: not a readable YAML file: {problem}") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f"line {mark.line + 1}: "
        problem = for_terminal(error.problem or error.context or "broken")
        raise InputError(f"{source}: {place}not a readable YAML file: {problem}") from error
    except (YAMLError, RecursionError, ValueError) as error:
        raise InputError(
            f"{source}: not a readable YAML file: {for_terminal(first_line(error))}"
        ) from error


def dump(values: Any) -> str:
    """The text of `values`: the keys in their order, with the comments that `load` kept."""
    text = io.StringIO()
    _keeper().dump(values, text)
    return text.getvalue()


def _reader() -> YAML:
    yaml = YAML(typ="safe")
    yaml.Constructor = Constructor
    return yaml


def _keeper() -> YAML:
    """YAML that keeps comments and quotes, laid out as params.yaml is."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml
