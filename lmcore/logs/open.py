"""Whatever another tool logged: a file or a folder goes in, Evaluations come out.

The tool is recognised by the names of its files. A folder is searched with all that is in it.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.logs import babylm, inspect_ai, lighteval, lm_eval, table
from lmcore.logs.evaluation import Evaluation
from lmcore.suites.records import EXPECTED

KNOWN = (
    "lm-eval (samples_*.jsonl), lighteval (details_*.parquet), Inspect (.eval, .json), BabyLM"
    f" (predictions.json), or a table with item and value ({EXPECTED})"
)


def read_logs(path: Path, answers: Path | None = None) -> list[Evaluation]:
    """The evaluations in a file or a folder, one for each model and suite.

    `answers` is the folder evaluation_data, which BabyLM predictions need. Raises InputError where
    nothing is recognised or a log cannot be read, naming the file and the line.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected a log of {KNOWN}")
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    evaluations = []
    for tool in (lm_eval, lighteval, inspect_ai):
        if matching := [file for file in files if tool.matches(file)]:
            evaluations += tool.read(matching)
    if predictions := [file for file in files if babylm.matches(file)]:
        evaluations += babylm.read(predictions, answers)
    if not evaluations:
        if tables := [file for file in files if table.matches(file)]:
            evaluations = table.read(tables)
        else:
            raise InputError(f"{path}: no log is recognised; expected one of {KNOWN}")
    _refuse_doubles(evaluations)
    return evaluations


def _refuse_doubles(evaluations: list[Evaluation]) -> None:
    """Raises InputError where two logs have the same model and suite."""
    sources: dict[tuple[str, str], Path] = {}
    for evaluation in evaluations:
        key = evaluation.model, evaluation.task
        if key in sources:
            raise InputError(
                f"{evaluation.source}: {key[0]} on {key[1]} is in {sources[key]}, too;"
                " name one of them"
            )
        sources[key] = evaluation.source
