import os
from pathlib import Path

import pytest

from lmcore.corpus.documents import prepare_corpus
from lmcore.corpus.survey import LONG, survey

COPIED = "this line has at least eight words in it"
TRAIN = [
    {"document": "a/0", "group": "talk", "text": f"Yeah.\nYeah.\n\n{COPIED}"},
    {"document": "b/0", "group": "books", "text": f"  Yeah.\n{COPIED}\nonly here"},
]
DEV = [{"document": "c/0", "group": "talk", "text": f"Yeah.\n{COPIED}\nyeah.\nYeah."}]


def test_survey_counts_words_by_domain_and_lines_that_stand_twice():
    assert len(COPIED.split()) == LONG + 1
    train = survey({"train": TRAIN, "dev": DEV})["train"]
    assert {key: train[key] for key in ("documents", "words", "lines", "long_lines")} == {
        "documents": 2,
        "words": 23,
        "lines": 6,
        "long_lines": 2,
    }
    # two more times Yeah., and the long line once more; whitespace around a line does not count
    assert train["repeated_lines"] == 3 and train["repeated_long_lines"] == 1
    assert train["domains"] == {
        "books": {"documents": 1, "words": 12, "share": 0.5217, "lines": 3, "repeated_lines": 2},
        "talk": {"documents": 1, "words": 11, "share": 0.4783, "lines": 3, "repeated_lines": 1},
    }
    assert "lines_in_train" not in train


def test_survey_finds_the_lines_of_a_held_out_split_that_train_has_too():
    dev = survey({"train": TRAIN, "dev": DEV})["dev"]
    assert dev["lines"] == 4 and dev["repeated_lines"] == 1
    assert dev["lines_in_train"] == 3  # not "yeah." in lower case
    assert dev["long_lines_in_train"] == 1


def test_survey_of_no_documents_is_all_zero():
    counts = survey({"train": [], "dev": []})
    assert counts["dev"]["words"] == 0 and counts["dev"]["lines_in_train"] == 0
    assert counts["train"]["domains"] == {}


@pytest.mark.skipif(not os.environ.get("LMCORE_DATA"), reason="needs LMCORE_DATA")
def test_survey_of_real_domains_counts_every_word_and_line_of_their_files(tmp_path):
    folder = Path(os.environ["LMCORE_DATA"]) / "babylm_2023" / "train"
    sources = tmp_path / "sources" / "babylm"
    sources.mkdir(parents=True)
    lines = {}
    for path in sorted(folder.glob("*.train")):
        text = path.read_text("utf-8")
        (sources / path.name).write_text(text, "utf-8")
        dev = folder.parent / "dev" / f"{path.stem}.dev"
        (sources / dev.name).write_text(dev.read_text("utf-8"), "utf-8")
        lines[path.stem] = [line.strip() for line in text.split("\n") if line.strip()]
    counts = prepare_corpus(
        tmp_path / "sources",
        tmp_path / "out",
        sources=["babylm"],
        encoding="utf-8",
        cleaning="none",
        document_words=1000,
        dev_share=0.1,
        test_share=0.1,
        seed=0,
    )
    train = counts["train"]
    for domain, found in train["domains"].items():
        assert found["lines"] == len(lines[domain])
        assert found["words"] == sum(len(line.split()) for line in lines[domain])
    every = [line for of_domain in lines.values() for line in of_domain]
    assert train["repeated_lines"] == len(every) - len(set(every))
