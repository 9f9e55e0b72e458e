"""Fixtures that all tests share: a tiny corpus, a tokenizer trained on it, and the real data."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings

from lmcore.corpus.documents import DOCUMENTS
from lmcore.text.tokenizer import make_tokenizer

os.environ["HF_HUB_OFFLINE"] = "1"
# Every run draws the same examples and has no deadline, so a test fails only because of its code.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")
SENTENCES = (
    "The old man walked to the sea and looked at the ships.",
    "She gave him a letter, and he read it twice.",
    "Nobody knew what the captain wanted.",
)


LONG = ["test_pipeline.py", "test_torture.py", "test_babylm_entry.py"]  # the longest first


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of whole pipelines first, of which one process runs each file.

    A long file that began last would leave the other processes idle.
    """
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data. A test that needs it is skipped where LMCORE_DATA is not set."""
    if not (folder := os.environ.get("LMCORE_DATA")):
        pytest.skip("needs real data: set LMCORE_DATA")
    return Path(folder)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A corpus folder of three splits of short documents.

    The train split has forty documents, dev and test have two each.
    """
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(corpus, tmp_path_factory) -> Path:
    """A tokenizer folder of 300 entries, trained on the corpus."""
    return train_tokenizer(corpus, tmp_path_factory.mktemp("tokenizer") / "tokenizer")


def write_corpus(folder: Path) -> None:
    """Write the documents tables of the three splits that `corpus` describes."""
    texts = [_document(number) for number in range(44)]
    splits = {"train": texts[:40], "dev": texts[40:42], "test": texts[42:]}
    for name, split in splits.items():
        rows = [
            {"document": f"book/txt/{i:05d}", "group": "book", "text": text}
            for i, text in enumerate(split)
        ]
        pq.write_table(pa.Table.from_pylist(rows, DOCUMENTS), folder / f"{name}.parquet")


def _document(number: int) -> str:
    """A text of three to seven sentences that ends with its number."""
    n_sentences = number % 5 + 3
    sentences = [SENTENCES[(number + i) % 3] for i in range(n_sentences)]
    return f"{' '.join(sentences)} Chapter {number}."


def train_tokenizer(corpus: Path, out: Path) -> Path:
    """Train a tokenizer of 300 entries on a corpus folder, and return its folder `out`."""
    make_tokenizer(
        corpus,
        out,
        out,
        vocab_size=300,
        min_frequency=2,
        normalizer=None,
        add_prefix_space=False,
        imported=None,
    )
    return out
