"""Perplexity in and out of a domain: texts by group go in, records of kind text come out.

A user's folder (`path`) holds text files, each of them a text. Each subfolder is a group, and a
file beside the subfolders is a group of its own.

Without such a folder, the corpus' own test documents are the group `heldout`. They are compared
with the same words in random order (`shuffled_words`) and with random printable characters
(`random_characters`), each as long as the document that it stands for.
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
    """Records of kind text, with at most `words` words in a text; `seed` is for the random texts.

    `source` is a corpus folder, or a user's file or folder. Raises InputError for `words` below 1,
    for a file without text, and for a folder without text files.
    """
    if words < 1:
        raise InputError(f"task domains: words must be at least 1, not {words}")
    if (source / "test.parquet").exists():
        return _of_corpus(source / "test.parquet", words, seed)
    return _of_folder(source, words)


def _of_corpus(test: Path, words: int, seed: int) -> list[dict]:
    """Three records for each test document: the document and its two random counterparts."""
    records = []
    for row in read_documents(test):
        # each document has its own draw, which the other documents do not change
        rng = random.Random(f"{seed} {row['document']}")
        chosen = row["text"].split()[:words]
        text = " ".join(chosen)
        shuffled = " ".join(rng.sample(chosen, len(chosen)))
        noise = "".join(rng.choices(CHARACTERS, k=len(text))).strip() or "?"
        records += [
            {"group": "heldout", "text": text},
            {"group": "shuffled_words", "text": shuffled},
            {"group": "random_characters", "text": noise},
        ]
    return records


def _of_folder(source: Path, words: int) -> list[dict]:
    """A record for each text file of a user's folder, or for the one file that `source` is."""
    if source.is_file():
        files = [source]
    else:
        files = sorted(path for path in source.rglob("*.txt") if path.is_file())
    records = []
    for file in files:
        text = " ".join(read_text(file, "a text file").split()[:words])
        if not text:
            raise InputError(f"{file}: holds no text")
        # the subfolder, or the file itself
        group = file.name if file == source else file.relative_to(source).parts[0]
        records.append({"group": group.removesuffix(".txt"), "text": text})
    if not records:
        raise InputError(
            f"{source}: no .txt file; expected a folder of text files, a subfolder for each group"
        )
    return records
