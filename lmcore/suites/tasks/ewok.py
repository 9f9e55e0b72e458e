"""EWoK: which of two sentences fits a context, by basic knowledge of the world; 7,618 items.

A record has two contexts and two targets.

- `ewok`: the first context is given, and the first target must be more probable than the second, as
  in the BabyLM evaluation of 2025.
- `ewok_contexts`: the first target is given, and must be more probable after the first context than
  after the second, as in that of 2026.

Source: Ivanova et al. 2024, https://arxiv.org/abs/2405.09605, filtered by the words of the BabyLM
corpus. Its authors ask that the items are not published in plain text: bring a copy of your own.
"""

from collections.abc import Iterator
from pathlib import Path

from lmcore.suites.records import Record, Row, find, read_records


def build(source: Path) -> list[Record]:
    """Records of kind choices from a folder's JSONL files; the group is the Domain."""
    records = []
    for group, row in _rows(source):
        options = [row["Target1"], row["Target2"]]
        context = row["Context1"]
        records.append(row.record(group=group, context=context, options=options, gold=0))
    return records


def contexts(source: Path) -> list[Record]:
    """The same, with the contexts as what differs between the options."""
    records = []
    for group, row in _rows(source):
        of_options = [row["Context1"], row["Context2"]]
        options = [row["Target1"]] * 2
        records.append(row.record(group=group, context=of_options, options=options, gold=0))
    return records


def _rows(source: Path) -> Iterator[tuple[str, Row]]:
    """The Domain of each row, and the row."""
    for path in find(source, ".jsonl"):
        for row in read_records(path):
            yield row.name("Domain") or path.stem, row
