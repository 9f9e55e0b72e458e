"""WUG tests: which of two forms of a made-up word a model prefers, beside the people asked.

- `wug_adj`: nouns made of adjectives, -ity or -ness; 200 items.
- `wug_past`: past tenses of verbs, regular or irregular; 50 items.

The score is Spearman's correlation of the probability of the first form (against the second) with
the share of people who chose it. The official pipeline computes the probability in float32, where
it is 1 as soon as the sums differ by 17 nats; here it is ranked by its log-odds, without such ties.

Source: Hofmann et al. 2024, https://arxiv.org/abs/2411.07990 (adjectives), and Weissweiler et al.
2023, https://arxiv.org/abs/2310.15113 (past tense), in the files of the BabyLM evaluation of 2025.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.suites.records import Record, find, read_records
from lmcore.text_files import described


def build(source: Path) -> list[Record]:
    """Records of kind graded from a folder's JSONL files: `sentences` with a tab, and `ratio`."""
    records = []
    for path in find(source, ".jsonl"):
        for row in read_records(path):
            sentences = row["sentences"].split("\t")
            if len(sentences) != 2:
                raise InputError(
                    f"{row.place('sentences')} must be two sentences with a tab between them,"
                    f" not {described(row['sentences'])}"
                )
            first, second = sentences
            records.append(row.record(first=first, second=second, ratio=row.value("ratio")))
    return records
