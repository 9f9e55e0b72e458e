"""The generated suite: its size and shape, its vocabulary, that it repeats, and pinned sentences of every paradigm."""

import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.errors import InputError
from lmcore.tables import items_table
from lmcore.tasks.minimal_pairs import MIN_COUNT, SLOT, build, words
from lmcore.tasks.minimal_pairs_grammar import CLASSES, PARADIGMS, UNIONS

GOLDEN = Path(__file__).parents[2] / "golden" / "minimal_pairs.tsv"
LEXICON = sorted({word for text in CLASSES.values() for word in words(text.split("\n", 1)[1].replace("/", " ").replace("_", " "))})
FIXED = sorted({word for templates in PARADIGMS.values() for template in templates for word in words(SLOT.sub(" ", template))})


def write_corpus(folder: Path, texts: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    columns = {name: [f"{name} {i}" for i in range(len(texts))] for name in ("document", "group")}
    pq.write_table(pa.table({**columns, "text": texts}), folder / "train.parquet")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus that holds every word of the grammar just often enough, in capitals here and there."""
    text = " ".join(LEXICON + FIXED)
    return write_corpus(tmp_path_factory.mktemp("corpus"), [text] * (MIN_COUNT - 1) + [text.title()])


@pytest.fixture(scope="module")
def rows(corpus: Path) -> list[dict]:
    return build(corpus, n=100, seed=0)


def pairs_of(rows: list[dict]) -> list[tuple[dict, dict]]:
    return list(zip(rows[::2], rows[1::2], strict=True))


def test_suite_has_twenty_paradigms_or_more_of_a_hundred_distinct_pairs(rows: list[dict]) -> None:
    distinct = {(good["group"], good["target"], bad["target"]) for good, bad in pairs_of(rows)}
    assert len(PARADIGMS) >= 20
    assert Counter(group for group, _, _ in distinct) == dict.fromkeys(PARADIGMS, 100)


def test_pair_first_option_is_gold_and_differs_from_the_second(rows: list[dict]) -> None:
    for good, bad in pairs_of(rows):
        assert good["item"] == bad["item"] and good["target"] != bad["target"]
        assert (good["option"], good["gold"], bad["option"], bad["gold"]) == (0, True, 1, False)


def test_pair_sentences_have_as_many_words(rows: list[dict]) -> None:
    assert [good["item"] for good, bad in pairs_of(rows) if len(good["target"].split()) != len(bad["target"].split())] == []


def test_sentence_is_spelled_as_one(rows: list[dict]) -> None:
    for row in rows:
        text = row["target"]
        assert text[0] == " " and text[1].isupper() and text[-1] in ".?" and text == " " + " ".join(text.split())
        assert not set(text) & set("_{}[]|/"), text
        tokens = words(text)
        assert all(first != second for first, second in pairwise(tokens)), text
        asks = text.split()[0] in ("Which", "Whose", "Is", "Are", "Has", "Have", "Had", "Do", "Does", "Was", "Were")
        assert asks == text.endswith("?"), text


def test_rows_make_an_items_table(rows: list[dict]) -> None:
    table = items_table(rows, {"bos": "prefix"})
    assert table.num_rows == 200 * len(PARADIGMS)
    assert table.column("item")[0].as_py() == "minimal_pairs/adjunct_island/0000"


def test_opposite_templates_leave_no_word_on_one_side() -> None:
    """Where a locus merely exchanges two fixed words, neither of agreement's is right more often than the other."""
    for name, templates in PARADIGMS.items():
        if name.startswith(("agreement", "anaphor")):
            loci = Counter(template[template.index("[") + 1 : template.index("]")] for template in templates)
            assert all(loci[locus] == loci["|".join(reversed(locus.split("|")))] for locus in loci), name


def test_every_class_is_used_and_every_used_class_exists() -> None:
    used = {match[0] for templates in PARADIGMS.values() for template in templates for match in SLOT.findall(template)}
    used = (used - UNIONS.keys()) | {part for name in used & UNIONS.keys() for part in UNIONS[name]}
    assert used == set(CLASSES)


def test_build_twice_under_other_hash_seeds_gives_the_same_rows(corpus: Path, rows: list[dict]) -> None:
    code = (
        "import sys, pathlib, hashlib, lmcore.tasks.minimal_pairs as m;"
        "print(hashlib.sha256(repr(m.build(pathlib.Path(sys.argv[1]), n=100, seed=0)).encode()).hexdigest())"
    )
    root = Path(__file__).parents[3]
    outputs = [
        subprocess.run([sys.executable, "-c", code, corpus], env={"PYTHONHASHSEED": seed}, cwd=root, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert build(corpus, n=100, seed=0) == rows


def test_build_other_seed_gives_other_pairs(corpus: Path, rows: list[dict]) -> None:
    assert build(corpus, n=100, seed=1) != rows


def test_build_smaller_n_gives_the_first_pairs(corpus: Path, rows: list[dict]) -> None:
    assert build(corpus, n=3, seed=0) == [row for row in rows if int(row["item"][-4:]) < 3]


def test_build_rare_word_is_never_used(tmp_path: Path) -> None:
    """`captain`, `captains` once too seldom: the sentences do without, and use no word the corpus does not hold."""
    text = " ".join(LEXICON + FIXED)
    without = " ".join(word for word in text.split() if word not in ("captain", "captains"))
    rows = build(write_corpus(tmp_path / "corpus", [text] * (MIN_COUNT - 1) + [without]), n=50, seed=0)
    used = {word for row in rows for word in words(row["target"])}
    assert used & {"captain", "captains"} == set()
    assert "soldier" in used and used <= set(LEXICON + FIXED)


def test_build_poor_corpus_raises_naming_paradigm_and_count(tmp_path: Path) -> None:
    """Two nouns, two states, two times, singular or plural: 16 pairs, and the other templates lack their words."""
    text = "the captain is happy now the soldier are angry now captains soldiers this evening "
    with pytest.raises(InputError, match=r"paradigm 'subject_verb_agreement' gives 16 distinct pairs .* expected 17"):
        build(write_corpus(tmp_path / "corpus", [text * MIN_COUNT]), n=17, seed=0)


def test_build_empty_corpus_raises_naming_paradigm(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'subject_verb_agreement' gives 0 "):
        build(write_corpus(tmp_path / "corpus", []), n=1, seed=0)


def test_golden_pairs_of_every_paradigm_stay_as_they_were_read(rows: list[dict]) -> None:
    """Read by a linguist's eye when pinned; a change of words or templates moves them, so read again before pinning anew."""
    lines = [line.split("\t") for line in GOLDEN.read_text("utf-8").splitlines() if not line.startswith("#")]
    sentences = {good["item"]: [good["target"], bad["target"]] for good, bad in pairs_of(rows)}
    assert {item.split("/")[1] for item, _, _ in lines} == set(PARADIGMS)
    assert {item: [" " + good, " " + bad] for item, good, bad in lines} == {item: sentences[item] for item, _, _ in lines}
