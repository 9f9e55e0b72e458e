"""The report's section on prompt formats: the CSV files of lmcore.explorations go in, figures come
out."""

from pathlib import Path

from markupsafe import Markup

from lmcore.errors import InputError
from lmcore.figures.bars import bars, points
from lmcore.figures.specification import Field, Figure, Rows
from lmcore.report.curves import read_csv
from lmcore.report.figures import drawn
from lmcore.report.layout import macros

KINDS = ["natural", "plain", "unnatural"]
FORMAT, KIND = Field("format", "format"), Field("kind", "kind")
LOGPROB = Field("logprob", "log-prob of the answer, nats", ".2f")
ERROR = Field("std_error", "standard error", ".2f")
PERPLEXITY = Field("prompt_perplexity", "perplexity of the prompt", ",.0f")
NUMBERS = (LOGPROB, ERROR, PERPLEXITY)


def formats_section(folder: Path) -> Markup:
    """How likely each prompt format makes the answer, for every suite of formats and every model.

    `folder` holds SUITE/MODEL.csv; those that are not of formats are left out. The section is empty
    where none is.
    """
    shown: dict[str, list[Markup]] = {}
    for path in sorted(folder.glob("*/*.csv")):
        rows = read_csv(path)
        if rows and set(rows[0]) >= {field.name for field in (FORMAT, KIND, *NUMBERS)}:
            title = f"{path.stem}, {path.parent.name}"
            shown[title] = [drawn(one) for one in format_figures(title, path, rows)]
    return macros(__name__).formats_section(shown) if shown else Markup("")


def format_figures(title: str, path: Path, rows: list[dict]) -> list[Figure]:
    """The answer's log-prob as bars, best first, and against the perplexity of the prompt.

    The figures are named after the file, SUITE/MODEL.csv. Raises InputError, naming it, for a row
    without its numbers.
    """
    found: Rows = []
    for row in rows:
        try:
            numbers = {field.name: float(row[field.name]) for field in NUMBERS}
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{path}: format '{row['format']}': expected numbers in the columns "
                f"{', '.join(field.name for field in NUMBERS)}; run the stage explore_suites"
            ) from error
        found.append({"format": row["format"], "kind": row["kind"]} | numbers)
    name = f"{path.parent.name}-{path.stem}"
    label = f"Log-prob of the answer by prompt format, {title}"
    return [
        bars(name, label, found, LOGPROB, FORMAT, KIND, KINDS, error=ERROR),
        points(
            f"{name}-perplexity",
            f"{label}, against the perplexity of the prompt",
            found,
            PERPLEXITY,
            LOGPROB,
            FORMAT,
            KIND,
            KINDS,
        ),
    ]
