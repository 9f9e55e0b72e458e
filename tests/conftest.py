"""What tests share: a tiny corpus, a tokenizer on it, and where the real data are."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings

from lmcore.corpus.documents import DOCUMENTS
from lmcore.text.tokenizer import make_tokenizer

os.environ["HF_HUB_OFFLINE"] = "1"
# The same examples in every run: a test fails for its code, never for its luck or its time.
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the pipeline's tests: one process takes them, and they take as long as all others together."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data; tests that need it are skipped where there is none."""
    if not (folder := os.environ.get("LMCORE_DATA")):
        pytest.skip("needs real data: set LMCORE_DATA")
    return Path(folder)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A corpus folder of three splits: forty short documents to train on, two for dev and two for test."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(corpus, tmp_path_factory) -> Path:
    """A tokenizer folder of 300 entries, trained on the corpus."""
    return train_tokenizer(corpus, tmp_path_factory.mktemp("tokenizer") / "tokenizer")


def write_corpus(folder: Path) -> None:
    texts = [
        " ".join(SENTENCES[(i + j) % 3] for j in range(i % 5 + 3)) + f" Chapter {i}."
        for i in range(44)
    ]
    for name, part in {"train": texts[:40], "dev": texts[40:42], "test": texts[42:]}.items():
        rows = [
            {"document": f"book/txt/{i:05d}", "group": "book", "text": text}
            for i, text in enumerate(part)
        ]
        pq.write_table(pa.Table.from_pylist(rows, DOCUMENTS), folder / f"{name}.parquet")


def train_tokenizer(corpus: Path, out: Path) -> Path:
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
