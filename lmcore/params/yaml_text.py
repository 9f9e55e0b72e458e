"""YAML as DVC reads it: the text of a file goes in, plain values come out.

This is YAML 1.2: `no` is a text, `010` is ten, and `1e-5` is a number. A key that stands twice is
refused.

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
    """Makes plain values only.

    A value that cannot exist, such as the date 2026-99-99, is an error that names a line.
    """

    def construct_object(self, node, deep=False):
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            problem = f"not a value of its kind: {error}"
            raise ConstructorError(None, None, problem, node.start_mark) from error


def load(text: str, source: str | Path, yaml: YAML | None = None) -> Any:
    """The value of a text.

    If `yaml` is given, it reads the text (for instance one that keeps comments). Raises InputError,
    which names `source` and the line, for a text that is not YAML.
    """
    if yaml is None:
        yaml = YAML(typ="safe")
        yaml.Constructor = Constructor
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
