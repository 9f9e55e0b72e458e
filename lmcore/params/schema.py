"""Values from outside against annotations: a value and a kind go in, nothing or one line of what was expected comes out.

A schema is a function, NamedTuple or TypedDict: its annotations say which keys a mapping has and of which kind each is (see lmcore.params.ranges).
Nothing is converted: true is no number, "3" and 1.0 are no whole numbers; a whole number is a number.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Annotated, Any, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import AfterValidator, TypeAdapter, ValidationError

from lmcore.errors import InputError

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


class Refused(ValueError):
    """What is wrong, and at which keys and places within the value."""

    def __init__(self, path: tuple, problem: str):
        super().__init__(problem)
        self.path, self.problem = path, problem


def check(value: Any, kind: Any, where: str) -> None:
    """Raises InputError, `where` and the keys within first, for a value that is not of this kind."""
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
    """Raises InputError, as `check`, for a mapping that is not as `schemas` say together.

    `without` names keys of them that the caller gives itself, `origins` another `where` of a key.
    """
    try:
        fit(values, *schemas, without=without)
    except Refused as error:
        place = (origins or {}).get(error.path[0], where) if error.path else where
        raise InputError(f"{place}{_dotted(error.path)}: {error.problem}") from None


def mapping(*schemas: Any) -> AfterValidator:
    """For annotations: Annotated[dict, mapping(f)] is a mapping as f takes it."""

    def check_one(values: dict) -> dict:
        fit(values, *schemas)
        return values

    return AfterValidator(check_one)


def together(check: Callable[..., None]) -> Callable:
    """Mark a schema whose values must fit together: `check` is called with them by name and raises ValueError where they do not."""

    def mark(schema: Any) -> Any:
        schema.together = check
        return schema

    return mark


@cache
def kinds_of(schema: Any) -> dict[str, tuple[Any, bool]]:
    """{key: its kind, whether it must be there}; of a function those that are keywords alone."""
    hints = get_type_hints(schema, include_extras=True)
    if is_typeddict(schema):
        plain = {k: get_args(v)[0] if get_origin(v) is NotRequired else v for k, v in hints.items()}
        return {key: (kind, key in schema.__required_keys__) for key, kind in plain.items()}
    parameters = dict(inspect.signature(schema).parameters)
    if not isinstance(schema, type):
        parameters = {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    return {key: (hints.get(key, Any), p.default is p.empty) for key, p in parameters.items()}


def fit(values: Any, *schemas: Any, without: Iterable[str] = ()) -> None:
    """Raises Refused for the first thing that is wrong with a mapping: for validators, which know no `where`."""
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
            try:
                schema.together(**values)
            except Refused:
                raise
            except ValueError as error:
                raise Refused((), str(error)) from error


def must_be(value: Any, kind: Any, path: tuple = ()) -> None:
    """Raises Refused, for validators as `fit`, where `value`, which stands at `path`, is not of this kind."""
    try:
        _adapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path += tuple(part for part in first["loc"] if part != "[key]")
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, Refused):
            raise Refused(path + cause.path, cause.problem) from None
        raise Refused(path, _problem(dict(first), cause)) from None


@cache
def _adapter(kind: Any) -> TypeAdapter:
    """What pydantic makes of a kind, once."""
    return TypeAdapter(Annotated[dict, mapping(kind)] if is_typeddict(kind) else kind)


def _problem(error: dict, cause: ValueError | None) -> str:
    """What pydantic's error says, in our words."""
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
    """A value in one short line, as YAML and JSON write it, with nothing a terminal would obey."""
    try:
        text = json.dumps(value, default=str)
    except (TypeError, ValueError, RecursionError):  # odd keys, endless digits, itself within
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _quoted(key: Any) -> str:
    return (
        f"'{key}'" if isinstance(key, str) and key.isprintable() and len(key) <= 60 else shown(key)
    )


def _dotted(path: tuple) -> str:
    """`path` as it is written behind a name: `.key` and `[0]`."""
    parts = []
    for part in path:
        plain = isinstance(part, str) and re.fullmatch(r"[\w-]{1,60}", part)
        is_place = isinstance(part, int)
        parts.append(f"[{part}]" if is_place else f".{part}" if plain else f".{shown(part)}")
    return "".join(parts)
