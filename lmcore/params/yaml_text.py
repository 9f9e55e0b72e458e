"""YAML as DVC reads it: a file or its text goes in, plain values come out.

That is YAML 1.2: `no` is a text, `010` is ten, `1e-5` a number, and a key that stands twice is refused.
Source: dvc/utils/serialize/_yaml.py.
"""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from lmcore.errors import InputError
from lmcore.shown import for_terminal
from lmcore.text_files import first_line


class Constructor(SafeConstructor):
    """Plain values alone; one that cannot be, such as the date 2026-99-99, is an error with a line."""

    def construct_object(self, node, deep=False):
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            problem = f"not a value of its kind: {error}"
            raise ConstructorError(None, None, problem, node.start_mark) from error


def load(text: str, source: str | Path, yaml: YAML | None = None) -> Any:
    """The value of a text, read by `yaml` where it is given (one that keeps comments).

    Raises InputError, naming `source` and the line, for a text that is no YAML.
    """
    if yaml is None:
        yaml = YAML(typ="safe")
        yaml.Constructor = Constructor
    try:
        return yaml.load(text)
    except ReaderError as error:
        line = 1 + text.count("\n", 0, error.position)
        what = f"the character #x{ord(text[error.position]):04x} cannot stand in YAML"
        raise InputError(f"{source}: line {line}: not a readable YAML file: {what}") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f"line {mark.line + 1}: "
        what = for_terminal(error.problem or error.context or "broken")
        raise InputError(f"{source}: {place}not a readable YAML file: {what}") from error
    except (YAMLError, RecursionError, ValueError) as error:
        raise InputError(
            f"{source}: not a readable YAML file: {for_terminal(first_line(error))}"
        ) from error
