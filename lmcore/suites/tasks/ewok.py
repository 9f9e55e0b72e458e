"""EWoK: which of two sentences fits a context, by basic knowledge of the world; 7,618 items.

A record has two contexts and two targets. As in the BabyLM evaluation, the first context is given,
and the first target must be more probable than the second.

Source: Ivanova et al. 2024, https://arxiv.org/abs/2405.09605, filtered by the words of the BabyLM
corpus. Its authors ask that the items are not published in plain text: bring a copy of your own.
"""

from pathlib import Path

from lmcore.suites.records import Record, find, read_records


def build(source: Path) -> list[Record]:
    """Records of kind choices from a folder's JSONL files; the group is the Domain."""
    records = []
    for path in find(source, ".jsonl"):
        for row in read_records(path):
            options = [row["Target1"], row["Target2"]]
            group = row.name("Domain") or path.stem
            context = row["Context1"]
            records.append(row.record(group=group, context=context, options=options, gold=0))
    return records
