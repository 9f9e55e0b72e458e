from collections import Counter
from itertools import chain

import pytest

from lmcore.corpus.documents import CLEANINGS, prepare_corpus, read_documents, read_text
from lmcore.errors import InputError

BOOK = "[A Book by Nobody 1900]\n\nCHAPTER I\n\n" + "\n\n".join(
    f"Paragraph {i} of the\nfirst _chapter_ has ten words in it." for i in range(60)
)
BOOK += (
    "\n\nCHAPTER II\n\n     A verse stands here\n     set off from the margin\n\n"
    + "\n\n".join(f"Second {i} is here, too." for i in range(60))
)
ARGUMENTS = {
    "encoding": "utf-8",
    "cleaning": "prose",
    "document_words": 100,
    "dev_share": 0.1,
    "test_share": 0.1,
    "seed": 0,
}


@pytest.fixture
def books(tmp_path):
    folder = tmp_path / "sources" / "books"
    folder.mkdir(parents=True)
    (folder / "one.txt").write_text(BOOK)
    (folder / "two.txt").write_text(
        BOOK.replace("Paragraph", "Sentence").replace("Second", "Another")
    )
    return tmp_path / "sources"


def test_prepare_corpus_books_are_split_by_document_and_counted(books, tmp_path):
    counts = prepare_corpus(books, tmp_path / "out", sources=["books"], **ARGUMENTS)
    splits = {
        name: read_documents(tmp_path / "out" / f"{name}.parquet")
        for name in ("train", "dev", "test")
    }
    assert {row["group"] for row in splits["test"]} == {"one", "two"}
    texts = [row["text"] for row in chain.from_iterable(splits.values())]
    assert len(texts) == len(set(texts)) == sum(counts[name]["documents"] for name in splits)
    assert "Paragraph 7 of the first chapter has ten words in it." in "\n".join(texts)
    # the splits are a partition: no paragraph is lost or doubled
    assert sum(text.count("Paragraph") for text in texts) == 60
    assert counts["dropped"] == {"headings": 6, "indented paragraphs": 2, "repeated documents": 0}


def test_prepare_corpus_runs_twice_give_equal_bytes(books, tmp_path):
    for name in "ab":
        prepare_corpus(books, tmp_path / name, sources=["books"], **ARGUMENTS)
    assert all(
        (tmp_path / "a" / f"{s}.parquet").read_bytes()
        == (tmp_path / "b" / f"{s}.parquet").read_bytes()
        for s in ("train", "dev", "test")
    )


def test_prepare_corpus_babylm_layout_keeps_its_split_and_halves_dev(tmp_path):
    folder = tmp_path / "babylm"
    folder.mkdir()
    for suffix, n in (("train", 100), ("dev", 40)):
        (folder / f"aochildes.{suffix}").write_text(
            "\n".join(f"look at {suffix} number {i} , please ." for i in range(n))
        )
    prepare_corpus(
        tmp_path, tmp_path / "out", sources=["babylm"], **{**ARGUMENTS, "cleaning": "babyllama"}
    )
    documents = {
        name: read_documents(tmp_path / "out" / f"{name}.parquet")
        for name in ("train", "dev", "test")
    }
    assert all(
        "train number" in row["text"] and row["group"] == "aochildes" for row in documents["train"]
    )
    assert len(documents["dev"]) == len(documents["test"]) and not any(
        "train" in row["text"] for row in documents["dev"] + documents["test"]
    )
    assert "number 3, please." in documents["train"][0]["text"]


def test_prepare_corpus_babylm_2026_layout_has_its_split_in_front_of_txt(tmp_path):
    """Train and dev come from two sources, as they do from two repositories of the hub."""
    for source, name in (("train", "childes.train.txt"), ("dev", "childes.dev")):
        (tmp_path / source).mkdir()
        text = "\n".join(f"look at {source} number {i} , please ." for i in range(60))
        (tmp_path / source / name).write_text(text)
    changes = {"cleaning": "babyllama", "document_words": 20}
    counts = prepare_corpus(
        tmp_path, tmp_path / "out", sources=["train", "dev"], **{**ARGUMENTS, **changes}
    )
    rows = read_documents(tmp_path / "out" / "train.parquet")
    assert rows[0]["document"] == "childes/train/00000"
    assert "number 3, please." in rows[0]["text"]  # the cleaning knows the domain
    for split in ("train", "dev", "test"):
        assert list(counts[split]["domains"]) == ["childes"]
    assert counts["train"]["lines"] == counts["dev"]["lines"] + counts["test"]["lines"] == 60


def words(number: int, n: int) -> str:
    """`n` words that occur in no other text."""
    return " ".join(f"{number}w{i}" for i in range(n))


def documents_of(folder, text: str, **changes) -> tuple[dict[str, list[str]], dict]:
    """The texts of every split of one file, and the counts. Half of the texts are dev and test."""
    (folder / "books").mkdir()
    (folder / "books" / "one.txt").write_text(text)
    arguments = {**ARGUMENTS, "cleaning": "none", "dev_share": 0.25, "test_share": 0.25, **changes}
    counts = prepare_corpus(folder, folder / "out", sources=["books"], **arguments)
    splits = {}
    for name in ("train", "dev", "test"):
        splits[name] = [row["text"] for row in read_documents(folder / "out" / f"{name}.parquet")]
    return splits, counts


@pytest.mark.parametrize(("n_words", "is_joined"), [(24, True), (25, False)])
def test_section_under_a_quarter_of_the_length_is_joined_to_the_next(tmp_path, n_words, is_joined):
    """The sections have `n_words` words and 60 words in turn; documents have 100 words."""
    sections = [words(number, 60 if number % 2 else n_words) for number in range(8)]
    splits, _ = documents_of(tmp_path, "\n\n".join(sections))
    texts = set(chain.from_iterable(splits.values()))
    pairs = {f"{one}\n{other}" for one, other in zip(sections[::2], sections[1::2])}
    assert texts == (pairs if is_joined else set(sections))


def test_last_section_under_a_quarter_of_the_length_is_a_document_all_the_same(tmp_path):
    sections = [*(words(number, 50) for number in range(4)), "the end"]
    splits, _ = documents_of(tmp_path, "\n\n".join(sections))
    assert "the end" in chain.from_iterable(splits.values())


def test_section_longer_than_a_document_is_cut_into_equal_parts_between_paragraphs(tmp_path):
    """240 words in lines of 10 make two documents of 120 words, not two of 100 and one of 40."""
    lines = [words(number, 10) for number in range(4 * 24)]
    sections = ["\n".join(lines[start : start + 24]) for start in range(0, len(lines), 24)]
    splits, _ = documents_of(tmp_path, "\n\n".join(sections))
    texts = list(chain.from_iterable(splits.values()))
    assert {len(text.split()) for text in texts} == {120}
    assert len(texts) == 8


def test_repeated_documents_are_kept_once_and_in_what_is_held_out_first(tmp_path):
    """Each of eight texts occurs three times; none may be both held out and trained on."""
    texts = [words(number, 30) for number in range(8)]
    splits, counts = documents_of(tmp_path, "\n\n".join(texts * 3))
    kept = list(chain.from_iterable(splits.values()))
    assert sorted(kept) == sorted(texts) and counts["dropped"]["repeated documents"] == 16
    n_held_out = len(splits["test"]) + len(splits["dev"])
    assert n_held_out > len(splits["train"]) > 0, "6 and 6 of the 24 were drawn, and are kept"


@pytest.mark.parametrize(
    ("stem", "before", "after"),
    [
        ("simple_wiki", "One.\n\nTwo.", ["One.", "Two."]),
        ("wikipedia", "= = = Title = = =\nText", ["Title", "Text"]),
        ("bnc_spoken", "well ,  you\u00a0know .", ["well, you know."]),
        ("open_subtitles", "Hello\nSubtitles by Nobody", ["Hello"]),
        ("qed", "THlS lS lT", ["This is it"]),
        ("gutenberg", "as , it  stands", ["as , it  stands"]),
    ],
)
def test_babyllama_cleaning_follows_the_domain(stem, before, after):
    assert CLEANINGS["babyllama"](before, stem, Counter()) == after


@pytest.mark.parametrize(
    ("content", "change", "message"),
    [
        (b"caf\xe9 text", {}, "one.txt: not utf-8 at byte 3"),
        (b"", {}, "the train split of books is empty"),
        (b"a b c", {"cleaning": "magic"}, "unknown cleaning 'magic'"),
        (b"a b c", {"encoding": "utf-99"}, "unknown encoding 'utf-99'"),
    ],
)
def test_prepare_corpus_bad_input_is_named_and_nothing_written(tmp_path, content, change, message):
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "one.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        prepare_corpus(tmp_path, tmp_path / "out", sources=["books"], **{**ARGUMENTS, **change})
    assert not (tmp_path / "out").exists()


def test_prepare_corpus_source_without_text_is_named(tmp_path):
    with pytest.raises(InputError, match=r"books: no \*.txt"):
        prepare_corpus(tmp_path, tmp_path / "out", sources=["books"], **ARGUMENTS)


def test_read_text_is_the_same_with_a_mark_and_refuses_it_under_another_encoding(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffcafé\r\nnoir".encode())
    assert read_text(path, "utf-8") == read_text(path, "utf-8-sig") == "café\nnoir"
    with pytest.raises(
        InputError, match=r"a\.txt: begins with a byte-order mark of UTF-8; expected latin-1 text"
    ):
        read_text(path, "latin-1")
