"""Values from outside, checked against annotations.

A value and a kind go in. Nothing comes out, or one line that says what was expected.

A schema is a function, a NamedTuple or a TypedDict. Its annotations say which keys a mapping has,
and of which kind the value of each key is (see lmcore.params.ranges). Nothing is converted: `true`
is not a number, and neither "3" nor 1.0 is a whole number. A whole number is a number.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Annotated, Any, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import AfterValidator, TypeAdapter, ValidationError

from lmcore.errors import InputError

# What was expected, by the type of pydantic's error
SAID = {
    "bool_type": "true or false",
    "string_type": "a text",
    "string_unicode": "a text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "int_type": "a whole number",
    "float_type": "a number",
    "none_required": "null",
    "recursion_loop": "a value that does not hold itself",
}
LENGTH = 60  # the most characters of a value or a key that a message shows


class Refused(ValueError):
    """What is wrong with a value, and at which keys and places within it."""

    def __init__(self, path: tuple, problem: str):
        super().__init__(problem)
        self.path, self.problem = path, problem


def check(value: Any, kind: Any, where: str) -> None:
    """Raises InputError for a value that is not of this kind.

    Its message begins with `where` and the keys within the value.
    """
    try:
        must_be(value, kind)
    except Refused as error:
        raise InputError(f"{where}{_dotted(error.path)}: {error.problem}") from None


def check_mapping(
    values: Any,
    where: str,
    *schemas: Any,
    without: Iterable[str] = (),
    origins: Mapping[str, str] | None = None,
) -> None:
    """Raises InputError, as `check` does, for a mapping that does not fit all `schemas` together.

    `without` names those of their keys that the caller gives itself. `origins` holds another
    `where` for some keys.
    """
    try:
        fit(values, *schemas, without=without)
    except Refused as error:
        place = (origins or {}).get(error.path[0], where) if error.path else where
        raise InputError(f"{place}{_dotted(error.path)}: {error.problem}") from None


def mapping(*schemas: Any) -> AfterValidator:
    """For annotations: Annotated[dict, mapping(f)] is a mapping that f takes."""

    def check_one(values: dict) -> dict:
        fit(values, *schemas)
        return values

    return AfterValidator(check_one)


def together(check: Callable[..., None]) -> Callable:
    """Mark a schema whose values must fit together.

    `check` is called with the values by name, and raises ValueError where they do not fit together.
    """

    def mark(schema: Any) -> Any:
        schema.together = check
        return schema

    return mark


@cache
def kinds_of(schema: Any) -> dict[str, tuple[Any, bool]]:
    """{key: (its kind, whether it must be there)}.

    For a function, the keys are its keyword-only parameters.
    """
    hints = get_type_hints(schema, include_extras=True)
    kinds: dict[str, tuple[Any, bool]] = {}
    if is_typeddict(schema):
        for key, hint in hints.items():
            kind = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
            kinds[key] = kind, key in schema.__required_keys__
        return kinds
    is_function = not isinstance(schema, type)
    for key, parameter in inspect.signature(schema).parameters.items():
        if not is_function or parameter.kind is parameter.KEYWORD_ONLY:
            kinds[key] = hints.get(key, Any), parameter.default is parameter.empty
    return kinds


def fit(values: Any, *schemas: Any, without: Iterable[str] = ()) -> None:
    """Raises Refused for the first thing that is wrong with a mapping.

    This is for validators, which know no `where`. `without` is that of `check_mapping`.
    """
    must_be(values, dict)
    kinds: dict[str, tuple[Any, bool]] = {}
    for schema in schemas:
        kinds |= {key: kind for key, kind in kinds_of(schema).items() if key not in without}
    for key in values:
        if key not in kinds:
            expected = f"expected {', '.join(kinds)}" if kinds else "expected none"
            raise Refused((), f"unknown key {_quoted(key)}; {expected}")
    for key, value in values.items():
        must_be(value, kinds[key][0], (key,))
    for key, (_, is_needed) in kinds.items():
        if is_needed and key not in values:
            raise Refused((), f"the key '{key}' is missing")
    for schema in schemas:
        if hasattr(schema, "together"):
            _check_together(values, schema)


def _check_together(values: dict, schema: Any) -> None:
    """Raises Refused where the values do not fit together as the schema demands."""
    try:
        schema.together(**values)
    except Refused:
        raise
    except ValueError as error:
        raise Refused((), str(error)) from error


def must_be(value: Any, kind: Any, path: tuple = ()) -> None:
    """Raises Refused where `value`, which stands at `path`, is not of this kind.

    Like `fit`, this is for validators.
    """
    try:
        _adapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path += tuple(key for key in first["loc"] if key != "[key]")
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, Refused):
            raise Refused(path + cause.path, cause.problem) from None
        raise Refused(path, _problem(dict(first), cause)) from None


@cache
def _adapter(kind: Any) -> TypeAdapter:
    """What pydantic makes of a kind; cached, so that it is made once."""
    return TypeAdapter(Annotated[dict, mapping(kind)] if is_typeddict(kind) else kind)


def _problem(error: dict, cause: ValueError | None) -> str:
    """What pydantic's error says, in our words.

    `cause` is the error that a validator of ours raised, if one did.
    """
    if cause is not None:
        return str(cause)
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        expected = context["expected"].replace("'", "")
    elif kind in ("too_short", "too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        number = f"at least {least}" if most is None else f"at most {most}"
        expected = f"{number} {'entry' if (least or most) == 1 else 'entries'}"
    else:
        expected = SAID.get(kind) or error["msg"]
    return f"expected {expected}, not {shown(error['input'])}"


def shown(value: Any) -> str:
    """A value in one short line, as YAML and JSON write it.

    It holds nothing that a terminal would obey.
    """
    try:
        text = json.dumps(value, default=str)
    except (TypeError, ValueError, RecursionError):  # odd keys, too many digits, holds itself
        text = f"a {type(value).__name__}"
    return text if len(text) <= LENGTH else f"{text[: LENGTH - 3]}..."


def _quoted(key: Any) -> str:
    """A key in quotes, or as `shown` has it where it is long or not printable."""
    is_plain = isinstance(key, str) and key.isprintable() and len(key) <= LENGTH
    return f"'{key}'" if is_plain else shown(key)


def _dotted(path: tuple) -> str:
    """`path` as it is written after a name: `.key` and `[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif isinstance(step, str) and re.fullmatch(r"[\w-]{1,60}", step):
            text += f".{step}"
        else:
            text += f".{shown(step)}"
    return text
