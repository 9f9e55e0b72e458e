"""Short names for the kinds of value that parameters have.

Signatures use these names, and lmcore.params.schema checks values against them.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

# The highest count. A higher one is a mistake in typing; and 64 bits hold every sum of such counts.
MOST = 10**9


class Expected:
    """Names the whole range in the error, whatever was wrong.

    pydantic itself names only the bound that was missed.
    """

    def __init__(self, text: str = ""):
        self.text = text

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        text = self.text or _range(dict(schema))
        return core_schema.custom_error_schema(schema, "expected", custom_error_message=text)


def _range(schema: dict) -> str:
    """The range of a number, in words, from pydantic's schema."""
    what = "a whole number" if schema["type"] == "int" else "a number"
    if "ge" in schema and "le" in schema:
        return f"{what} from {schema['ge']:,} to {schema['le']:,}"
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    bounds = [f"{word} {schema[key]:,}" for key, word in words.items() if key in schema]
    return f"{what} {' and '.join(bounds)}"


def _different(values: list) -> list:
    """`values`, if no two of them are written alike."""
    if len({str(value) for value in values}) != len(values):
        raise PydanticCustomError("expected", "a list without repetition")
    return values


RANGE = Expected()
DIFFERENT = AfterValidator(_different)

# whole numbers
Count = Annotated[int, Field(ge=1, le=MOST), RANGE]
Whole = Annotated[int, Field(ge=0, le=MOST), RANGE]
Bins = Annotated[int, Field(ge=1, le=10_000), RANGE]
Digits = Annotated[int, Field(ge=1, le=17), RANGE]  # significant digits; a float64 has 17 at most
Pieces = Annotated[int, Field(ge=8, le=512), RANGE]  # a BERT has 512 positions
Processes = Annotated[int, Field(ge=1, le=1024), RANGE]  # or threads
Resamples = Annotated[int, Field(ge=1, le=10**7), RANGE]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1), RANGE]

# numbers; a whole number is a number, too, but NaN and infinity are not
Positive = Annotated[float, Field(gt=0, le=MOST, allow_inf_nan=False), RANGE]
NonNegative = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False), RANGE]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), RANGE]
OpenShare = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), RANGE]  # neither 0 nor 1
UpToOne = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), RANGE]

# texts
# For DVC, a dash could give two stages of a matrix the same name, and a dot separates keys
NAME = r"^[a-z0-9_]+$"
Name = Annotated[
    str, Field(pattern=NAME, max_length=100), Expected("a name of a-z, 0-9 and _ alone")
]
Line = Annotated[
    str,
    Field(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"),
    Expected("a text of one line that is not empty"),
]
Prompt = Annotated[str, Field(pattern=r"\S"), Expected("a text that is not empty")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), Expected("64 hexadecimal digits")]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$"), Expected("40 hexadecimal digits")]
Bos = Literal["prefix", "tokenizer", "none"]
Align = Literal["left", "right"]

# lists, and mappings by name
Names = Annotated[list[Name], DIFFERENT]
SomeNames = Annotated[list[Name], Field(min_length=1), DIFFERENT]
Lines = Annotated[list[Line], Field(min_length=1), DIFFERENT]
Seeds = Annotated[list[Seed], Field(min_length=1), DIFFERENT]
Entries = dict[Name, dict | None]
SomeEntries = Annotated[dict[Name, dict | None], Field(min_length=1)]
