"""COMPS: whether a concept has a property, known or told about a made-up word; 91,028 items.

Two prefixes that name a concept each are followed by the same property phrase. The phrase must be
more probable after the prefix of the concept that has the property.

Source: Misra, Rayz & Ettinger 2023, https://aclanthology.org/2023.eacl-main.213, in the files of
the BabyLM evaluation of 2025.
"""

from pathlib import Path

from lmcore.suites.conventions import DEFAULT, Convention
from lmcore.suites.records import Record, find, read_records


def build(source: Path, *, convention: Convention = DEFAULT) -> list[Record]:
    """Records of kind choices from comps_base.jsonl and the three files of made-up words.

    The contexts differ between the options, and the target is the same. The group is the UID of
    BabyLM's predictions: base, wugs, wugs_dist_before, wugs_dist_in_between.

    Under `babylm2025` the space between them belongs to the context: there a token counts if it
    ends behind the beginning of the phrase itself.
    """
    space = " " if convention == "babylm2025" else ""
    records = []
    for path in find(source, ".jsonl"):
        group = path.stem.removeprefix("comps_").replace("-", "_")
        for row in read_records(path):
            prefixes = [row["prefix_acceptable"], row["prefix_unacceptable"]]
            contexts = [prefix + space for prefix in prefixes]
            options = [row["property_phrase"]] * 2
            records.append(row.record(group=group, context=contexts, options=options, gold=0))
    return records
