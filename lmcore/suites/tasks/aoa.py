"""AoA: 485 words that children learn early, in 8,005 contexts.

A model reads a context, and its surprisal at the word is scored. Over the checkpoints of a training
this gives the age at which the model acquired the word; lmcore.analysis.acquisition compares it
with the age at which children do. The published file names 504 words, of which 19 have no context.

The official rule, as far as it concerns an item: the text is the context without whitespace at its
ends, a space and the word. It is tokenised as a whole, with the special tokens that the tokenizer
itself adds. The surprisal is the sum over the tokens that end behind the beginning of the word, in
nats (natural log). `convention: babylm2025` follows it exactly; then the space is the end of the
context, and a token of the space alone is not scored. Under other conventions it is a part of the
target.

But the official command of 2025 does not use the contexts: `use_bos_only` is true by default, and
no option changes it. Then the text of each of the 8,005 items is the BOS token and the word,
without a space, and all contexts of a word have one surprisal. `contexts: none` with `bos: prefix`
and `leading_space: false` is that rule, with a single BOS where the tokenizer adds one itself.

One context of the published file begins with a byte-order mark, which the official pipeline lets
the model read. It is left out here.

Source: Chang & Bergen 2022, https://doi.org/10.1162/tacl_a_00444; AoA_word of
babylm/evaluation-pipeline-2025; the contexts are those of Jing-L97/AoA_words (MIT).
"""

from pathlib import Path
from typing import Any, Literal

from lmcore.errors import InputError
from lmcore.suites.conventions import DEFAULT, Convention
from lmcore.suites.records import Record, Row, find, strict_json
from lmcore.text_files import BOM, decoded, described, read_bytes

EXPECTED = "a JSON object of lists of contexts by word"


def build(
    source: Path,
    *,
    contexts: Literal["given", "none"] = "given",
    convention: Convention = DEFAULT,
) -> list[Record]:
    """Records of kind completion from cdi_childes.json: {WORD: [{"context": TEXT}, ...]}.

    The group of an item is its word, and its id ends in WORD/NUMBER, the place of its context in
    the file. With `contexts: none` the contexts are left out. Raises InputError for a file of
    another form.
    """
    records = []
    for path in find(source, ".json"):
        words = strict_json(decoded(read_bytes(path, EXPECTED), path), str(path))
        if not isinstance(words, dict):
            raise InputError(f"{path} must be {EXPECTED}, not {described(words)}")
        for word, entries in words.items():
            for number, row in enumerate(_rows(entries, f"{path}: '{word}'")):
                context = _context(row, convention) if contexts == "given" else ""
                # a word may be `all`, and the items of a group of this name have ids without it
                name = f"{word}/{number:04d}"
                values = {"context": context, "target": word.strip(), "group": word}
                records.append(row.record(id=name, **values))
    return records


def _context(row: Row, convention: Convention) -> str:
    """What stands before the word; officially the space as well."""
    return row["context"].strip() + (" " if convention == "babylm2025" else "")


def _rows(entries: Any, where: str) -> list[Row]:
    """The contexts of a word as rows. Raises InputError where they are no list of mappings."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{where} must be a list of objects with a context")
    rows = []
    for number, entry in enumerate(entries):
        context = entry.get("context")
        if isinstance(context, str):
            entry = {**entry, "context": context.removeprefix(BOM)}
        rows.append(Row(entry, f"{where}: context {number}"))
    return rows
