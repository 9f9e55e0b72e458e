"""The generated suite: its size and shape, its vocabulary, and that it repeats.

Sentences of every paradigm are pinned.
"""

import subprocess
import sys
from collections import Counter
from itertools import chain, pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.errors import InputError
from lmcore.suites.build import build_suite
from lmcore.suites.tasks.minimal_pairs import MIN_COUNT, SLOT, build, words
from lmcore.suites.tasks.minimal_pairs_grammar import CLASSES, PARADIGMS, UNIONS

GOLDEN = Path(__file__).parents[3] / "golden" / "minimal_pairs.tsv"
TEMPLATES = list(chain.from_iterable(PARADIGMS.values()))
FIXED = sorted(set(words(" ".join(SLOT.sub(" ", template) for template in TEMPLATES))))


def lexicon() -> list[str]:
    """All words of CLASSES."""
    known = set()
    for text in CLASSES.values():
        _, entries = text.split("\n", 1)
        known |= set(words(entries.replace("/", " ").replace("_", " ")))
    return sorted(known)


LEXICON = lexicon()


def write_corpus(folder: Path, texts: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    documents = [f"document {i}" for i in range(len(texts))]
    groups = [f"group {i}" for i in range(len(texts))]
    table = pa.table({"document": documents, "group": groups, "text": texts})
    pq.write_table(table, folder / "train.parquet")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus that holds every word of the grammar just often enough, once in title case."""
    text = " ".join(LEXICON + FIXED)
    return write_corpus(
        tmp_path_factory.mktemp("corpus"), [text] * (MIN_COUNT - 1) + [text.title()]
    )


@pytest.fixture(scope="module")
def records(corpus: Path) -> list[dict]:
    return build(corpus, n=100, seed=0)


def sentences_of(records: list[dict]) -> list[str]:
    return [record[side] for record in records for side in ("good", "bad")]


def of_group(records: list[dict], group: str) -> list[dict]:
    return [record for record in records if record["group"] == group]


def test_suite_has_twenty_paradigms_or_more_of_a_hundred_distinct_pairs(records):
    distinct = {(record["group"], record["good"], record["bad"]) for record in records}
    assert len(PARADIGMS) >= 20
    assert Counter(group for group, _, _ in distinct) == dict.fromkeys(PARADIGMS, 100)


def test_sentences_of_a_pair_differ_and_have_as_many_words(records):
    for record in records:
        assert record["good"] != record["bad"]
        assert len(record["good"].split()) == len(record["bad"].split()), record


def test_sentence_is_spelled_as_one(records):
    for text in sentences_of(records):
        assert text[0].isupper() and text[-1] in ".?" and text == " ".join(text.split())
        assert not set(text) & set("_{}[]|/"), text
        tokens = words(text)
        assert all(first != second for first, second in pairwise(tokens)), text
        asks = text.split()[0] in (
            "Which",
            "Whose",
            "Is",
            "Are",
            "Has",
            "Have",
            "Had",
            "Do",
            "Does",
            "Was",
            "Were",
        )
        assert asks == text.endswith("?"), text


def test_records_make_an_items_table(corpus: Path, records):
    table = build_suite("minimal_pairs", {"n": 100, "seed": 0}, corpus, corpus)
    assert table.num_rows == 2 * len(records)
    assert table["item"][0].as_py() == "minimal_pairs/adjunct_island/0000"


def test_opposite_templates_leave_no_word_on_one_side():
    """Where a locus exchanges two fixed words, neither is right more often than the other.

    This is so in all paradigms of agreement and of anaphors.
    """
    for name, templates in PARADIGMS.items():
        if name.startswith(("agreement", "anaphor")):
            loci = Counter(
                template[template.index("[") + 1 : template.index("]")] for template in templates
            )
            for locus in loci:
                good, bad = locus.split("|")
                assert loci[locus] == loci[f"{bad}|{good}"], name


def test_every_class_is_used_and_every_used_class_exists():
    used = set()
    for template in TEMPLATES:
        for name, _, _ in SLOT.findall(template):
            used |= set(UNIONS.get(name, [name]))
    assert used == set(CLASSES)


def test_build_twice_under_other_hash_seeds_gives_the_same_rows(corpus: Path, records):
    code = (
        "import sys, pathlib, hashlib, lmcore.suites.tasks.minimal_pairs as m;"
        "records = m.build(pathlib.Path(sys.argv[1]), n=100, seed=0);"
        "print(hashlib.sha256(repr(records).encode()).hexdigest())"
    )
    root = Path(__file__).parents[4]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code, corpus],
            env={"PYTHONHASHSEED": seed},
            cwd=root,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert build(corpus, n=100, seed=0) == records


def test_build_other_seed_gives_other_pairs(corpus: Path, records):
    assert build(corpus, n=100, seed=1) != records


def test_build_smaller_n_gives_the_first_pairs(corpus: Path, records):
    few = build(corpus, n=3, seed=0)
    assert len(few) == 3 * len(PARADIGMS)
    for paradigm in PARADIGMS:
        assert of_group(few, paradigm) == of_group(records, paradigm)[:3]


def test_build_rare_word_is_never_used(tmp_path: Path):
    """`captain` and `captains` stand in the corpus once too seldom.

    So the sentences do not use them, nor any word that the corpus does not hold.
    """
    text = " ".join(LEXICON + FIXED)
    without = " ".join(word for word in text.split() if word not in ("captain", "captains"))
    records = build(
        write_corpus(tmp_path / "corpus", [text] * (MIN_COUNT - 1) + [without]), n=50, seed=0
    )
    used = set(words(" ".join(sentences_of(records))))
    assert used & {"captain", "captains"} == set()
    assert "soldier" in used and used <= set(LEXICON + FIXED)


def test_build_poor_corpus_raises_naming_paradigm_and_count(tmp_path: Path):
    """Two nouns, two states, two times, singular or plural give 16 pairs.

    The other templates of the paradigm lack their words.
    """
    text = "the captain is happy now the soldier are angry now captains soldiers this evening "
    with pytest.raises(
        InputError,
        match=r"paradigm 'subject_verb_agreement' gives 16 distinct pairs .* expected 17",
    ):
        build(write_corpus(tmp_path / "corpus", [text * MIN_COUNT]), n=17, seed=0)


def test_build_empty_corpus_raises_naming_paradigm(tmp_path: Path):
    with pytest.raises(InputError, match="'subject_verb_agreement' gives 0 "):
        build(write_corpus(tmp_path / "corpus", []), n=1, seed=0)


def test_golden_pairs_of_every_paradigm_stay_as_they_were_read(records):
    """The pairs were read with a linguist's eye when they were pinned.

    A change of words or templates changes them. Then read them again before you pin them anew.
    """
    lines = [
        line.split("\t")
        for line in GOLDEN.read_text("utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert {item.split("/")[1] for item, _, _ in lines} == set(PARADIGMS)
    for item, good, bad in lines:
        _, paradigm, number = item.split("/")
        assert of_group(records, paradigm)[int(number)] == {
            "group": paradigm,
            "good": good,
            "bad": bad,
        }
