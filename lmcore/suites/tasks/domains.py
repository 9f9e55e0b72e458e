"""Perplexity in and out of a domain: texts by group go in, records of kind text come out.

A user's folder holds text files: each subfolder is a group, a file beside them a group of its own, and each file a text. Without one
(`path`), the corpus' own test documents are the group `heldout`, against the same words in random order (`shuffled_words`) and against
random printable characters (`random_characters`), each as long as the document that it stands for.
"""

import random
import string
from pathlib import Path

from lmcore.corpus.documents import read_documents
from lmcore.errors import InputError
from lmcore.params.ranges import Count, Seed
from lmcore.text_files import read_text

CHARACTERS = string.ascii_letters + string.digits + string.punctuation + " "


def build(source: Path, *, words: Count, seed: Seed) -> list[dict]:
    """Records of kind text, of at most so many `words` a text; `seed` is that of the shuffling."""
    if words < 1:
        raise InputError(f"task domains: words must be at least 1, not {words}")
    if (source / "test.parquet").exists():
        records = []
        for row in read_documents(source / "test.parquet"):
            chosen, rng = row["text"].split()[:words], random.Random(f"{seed} {row['document']}")
            text = " ".join(chosen)
            others = {
                "shuffled_words": " ".join(rng.sample(chosen, len(chosen))),
                "random_characters": _noise(len(text), rng),
            }
            records += [
                {"group": group, "text": text}
                for group, text in {"heldout": text, **others}.items()
            ]
        return records
    files = (
        [source]
        if source.is_file()
        else sorted(path for path in source.rglob("*.txt") if path.is_file())
    )
    records = []
    for file in files:
        place = file.relative_to(source).parts if file != source else (file.name,)
        text = " ".join(read_text(file, "a text file").split()[:words])
        if not text:
            raise InputError(f"{file}: holds no text")
        records.append({"group": place[0].removesuffix(".txt"), "text": text})
    if not records:
        raise InputError(
            f"{source}: no .txt file; expected a folder of text files, a subfolder for each group"
        )
    return records


def _noise(n: int, rng: random.Random) -> str:
    return "".join(rng.choices(CHARACTERS, k=n)).strip() or "?"
