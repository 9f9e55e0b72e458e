import random

import pytest

from lmcore.corpus.overlap import items_in, overlap, runs_of
from lmcore.errors import InputError
from tests.lmcore.token_tables import items_of

DOCUMENTS = [
    "He came home. “The old-man, walked to the SEA!” he said,\nand left",
    "again. Nobody knew.",
]


@pytest.mark.parametrize(
    ("context", "target", "is_there"),
    [
        ("", " The old man walked to the sea.", True),
        ("the old man", " walked to the sea", True),
        ("", " old man walked to the ship", False),
        ("", " and left again nobody", False),  # it crosses from one document into the next
        ("", " nobody knew", False),  # too short to say anything
        ("", " he came home the old man walked to the sea he said and left", True),
    ],
)
def test_items_in_finds_texts_word_for_word_whatever_their_case_and_marks(
    context, target, is_there
):
    items = items_of({"0": [(context, target), (context, " something else altogether here")]})
    assert items_in(DOCUMENTS, items) == (["0"] if is_there else [])


def test_items_in_looks_at_the_right_option_alone():
    items = items_of({"0": [("", " quite another text here"), ("", " the old man walked")]})
    assert items_in(DOCUMENTS, items) == []


def test_items_in_agrees_with_a_plain_search():
    draw = random.Random(0)
    documents = [" ".join(draw.choices("abcd", k=60)) for _ in range(5)]
    texts = [" ".join(draw.choices("abcd", k=draw.randint(4, 6))) for _ in range(300)]
    items = items_of({f"{n:03d}": [("", text)] for n, text in enumerate(texts)})
    expected = []
    for n, text in enumerate(texts):
        if any(f" {text} " in f" {document} " for document in documents):
            expected.append(f"{n:03d}")
    assert items_in(documents, items) == expected and 0 < len(expected) < 300


def test_overlap_counts_items_and_runs_by_hand():
    items = items_of(
        {
            "0": [("he came home", " the old dog")],
            "1": [("", " nobody knew")],
            "2": [("", " quite another text here")],
        }
    )
    # Item 0 has the runs: he came home, came home the, home the old, the old dog. Item 1 is too
    # short. Item 2 has two runs, which stand in no document.
    counts = overlap(DOCUMENTS, {"s": items}, 3)["s"]
    assert counts == {
        "n_items": 3,
        "n_items_too_short": 1,
        "n_items_with_overlap": 1,
        "run_share": pytest.approx(3 / 6),
    }


def test_overlap_does_not_cross_documents_and_refuses_no_words():
    items = items_of({"0": [("", " and left again nobody")]})
    assert overlap(DOCUMENTS, {"s": items}, 3)["s"]["n_items_with_overlap"] == 0
    with pytest.raises(InputError, match="words of a run, must be at least 1, not 0"):
        overlap(DOCUMENTS, {"s": items}, 0)


def test_runs_are_equal_where_words_are_wherever_they_stand():
    one, two, three = runs_of([["a", "b", "c", "d"], ["x", "y", "b", "c", "d"], ["b"]], 3)
    assert one[1] == two[2] and len(set(one) | set(two)) == 4 and len(three) == 0
    (whole,) = runs_of([["b", "c", "d"]], 3)
    assert whole.tolist() == [one[1]], "a text of as many words as a run is one run"
