"""Logs of Inspect (the UK AI Security Institute's inspect_ai), `.eval` or `.json`.

A log goes in, and an Evaluation for its task comes out. A `.eval` file is a zip of a header and one
JSON file for each sample and epoch. A score of "C" counts 1, "P" one half, "I" and "N" 0, as
Inspect's `value_to_float` counts them. A sample that was asked in several epochs has the mean of
their scores, as Inspect's own mean has it: samples are the items, not answers.
"""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from lmcore.errors import InputError
from lmcore.files import read_json_object
from lmcore.logs.evaluation import Evaluation, Item, Printed
from lmcore.suites.records import strict_json
from lmcore.text_files import decoded, described, first_line

TOOL = "inspect"
LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
MOST_BYTES = 1 << 32
ZSTD = 93  # the number of this compression in zip files
# The header before a member's name; the last two numbers are the lengths of name and extra field
# (PKWARE's APPNOTE.TXT, section 4.3.7)
LOCAL_HEADER = struct.Struct("<4s5H3L2H")
PARTS = {"version", "status", "eval"}  # every log has these


def matches(path: Path) -> bool:
    """Whether a file is an Inspect log: by its suffix .eval, or by the parts of its JSON."""
    if path.suffix == ".eval":
        return True
    if path.suffix != ".json":
        return False
    with path.open("rb") as file:
        beginning = file.read(4096)
    return b'"version"' in beginning and b'"status"' in beginning and b'"eval"' in beginning


def read(paths: list[Path]) -> list[Evaluation]:
    """The evaluations in these logs, one for each model and task, of the newest log.

    Raises InputError for a log that cannot be read or has no scores.
    """
    latest: dict[tuple[str, str], tuple[str, Path, dict[str, Any], list[dict]]] = {}
    n_older = 0
    for path in sorted(paths):
        header, samples = _zipped(path) if path.suffix == ".eval" else _plain(path)
        run = header.get("eval") or {}
        key = str(run.get("model")), str(run.get("task"))
        created = str(run.get("created", ""))
        n_older += key in latest
        if key not in latest or created >= latest[key][0]:
            latest[key] = (created, path, header, samples)
    evaluations = []
    for (model, task), (_, path, header, samples) in latest.items():
        evaluations.append(_evaluation(model, task, path, header, samples))
    if n_older:
        evaluations[0].notes.append(f"{n_older} older logs of the same tasks were left out")
    return evaluations


def _plain(path: Path) -> tuple[dict[str, Any], list[dict]]:
    """The header and the samples of a JSON log."""
    log = read_json_object(path, "an Inspect log", MOST_BYTES)
    return log, log.get("samples") or []


def _zipped(path: Path) -> tuple[dict[str, Any], list[dict]]:
    """The header and the samples of a .eval file. Raises InputError where it is not whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(archive.namelist())
            if "header.json" not in names:
                raise InputError(f"{path}: has no header.json: the run did not end; run it again")
            parts = [name for name in names if name.startswith("samples/")]
            samples = [_member(archive, name, path) for name in parts]
            return _member(archive, "header.json", path), samples
    except (zipfile.BadZipFile, OSError, NotImplementedError, struct.error) as error:
        raise InputError(f"{path}: not a readable .eval file: {first_line(error)}") from error


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> dict[str, Any]:
    where = f"{path}: {name}"
    value = strict_json(decoded(_content(archive, name, path), where), where)
    if not isinstance(value, dict):
        raise InputError(f"{where} must be a JSON object, not {described(value)}")
    return value


def _content(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """The content of a member.

    Inspect compresses by zstd, which Python's zipfile reads from Python 3.14 on. Raises InputError
    for a member whose check sum is another.
    """
    info = archive.getinfo(name)
    if info.compress_type != ZSTD:
        return archive.read(name)
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(LOCAL_HEADER.size)
        *_, n_name, n_extra = LOCAL_HEADER.unpack(header)
        file.seek(n_name + n_extra, io.SEEK_CUR)
        compressed = file.read(info.compress_size)
    content = pa.decompress(compressed, info.file_size, codec="zstd", asbytes=True)
    if zlib.crc32(content) != info.CRC:
        raise InputError(f"{path}: {name} is damaged: its check sum is another")
    return content


def _evaluation(
    model: str, task: str, path: Path, header: dict[str, Any], samples: list[dict]
) -> Evaluation:
    """The evaluation of a log. Raises InputError where no sample has a score."""
    values_of: dict[str, list[dict[str, float]]] = {}
    asked_of: dict[str, str] = {}
    n_without = 0
    for sample in samples:
        if values := _values(sample):
            item = str(sample.get("id"))
            values_of.setdefault(item, []).append(values)
            asked = [sample.get("choices"), sample.get("target"), _question(sample)]
            asked_of[item] = json.dumps(asked, ensure_ascii=False, sort_keys=True)
        else:
            n_without += 1
    items = []
    for item, epochs in values_of.items():
        items.append(Item(item, asked_of[item], _means(epochs)))
    if not items:
        raise InputError(
            f"{path}: no sample has a score; expected a log of a run that was scored"
            " (`inspect score` adds scores)"
        )
    notes = []
    status = str(header.get("status"))
    if status != "success":
        notes.append(f"{path.name}: the run ended with status {status}: {len(items)} were scored")
    if n_without:
        notes.append(f"{path.name}: {n_without} of {len(samples)} samples have no score")
    if len(items) + n_without < len(samples):
        notes.append(f"{path.name}: a sample counts the mean of its epochs")
    return Evaluation(TOOL, model, task, path, items, printed=_printed(header), notes=notes)


def _means(epochs: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """{metric: (the mean over the epochs that have it, 1)}."""
    means = {}
    for name in dict.fromkeys(name for values in epochs for name in values):
        present = [values[name] for values in epochs if name in values]
        means[name] = (sum(present) / len(present), 1.0)
    return means


def _question(sample: dict[str, Any]) -> str:
    """The text of a sample's input; of messages, which have random ids, role and content alone."""
    question = sample.get("input")
    if not isinstance(question, list):
        return str(question)
    messages = [[message.get("role"), message.get("content")] for message in question]
    return json.dumps(messages, ensure_ascii=False, sort_keys=True)


def _values(sample: dict[str, Any]) -> dict[str, float]:
    """{scorer, or scorer/key of a score of several values: value}."""
    values = {}
    for scorer, score in (sample.get("scores") or {}).items():
        value = score.get("value") if isinstance(score, dict) else score
        parts = value if isinstance(value, dict) else {"": value}
        for name, part in parts.items():
            metric = f"{scorer}/{name}" if name else scorer
            number = _number(part)
            if number is not None:
                values[metric] = number
    return values


def _number(value: object) -> float | None:
    """What a value of a score counts; None where it is neither a number nor a known letter."""
    if isinstance(value, bool | int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    if value in LETTERS:
        return LETTERS[value]
    if value.lower() in WORDS:
        return WORDS[value.lower()]
    try:
        return float(value)
    except ValueError:
        return None


def _printed(header: dict[str, Any]) -> dict[str, Printed]:
    """What Inspect printed for each scorer: its accuracy or mean, and the standard error."""
    printed = {}
    for score in (header.get("results") or {}).get("scores") or []:
        metrics = {name: metric.get("value") for name, metric in score["metrics"].items()}
        mean = metrics.get("accuracy", metrics.get("mean"))
        if isinstance(mean, int | float):
            printed[score["name"]] = Printed(float(mean), metrics.get("stderr"))
    return printed
