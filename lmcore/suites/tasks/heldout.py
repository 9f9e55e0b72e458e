"""The corpus' own test documents as running text.

They come from the same books as the train split, and a model trained on that split has not seen
them.
"""

from pathlib import Path

from lmcore.corpus.documents import read_documents


def build(source: Path) -> list[dict]:
    """Records of kind text from the corpus folder; the group is the book or domain."""
    return [
        {"id": row["document"], "group": row["group"], "text": row["text"]}
        for row in read_documents(source / "test.parquet")
    ]
