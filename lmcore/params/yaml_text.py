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
