import random

import pytest

from lmcore.leakage import items_in
from tests.lmcore.token_tables import items_of

DOCUMENTS = ["He came home. “The old-man, walked to the SEA!” he said,\nand left", "again. Nobody knew."]


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
def test_items_in_finds_texts_word_for_word_whatever_their_case_and_marks(context, target, is_there):
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
    expected = [f"{n:03d}" for n, text in enumerate(texts) if any(f" {text} " in f" {document} " for document in documents)]
    assert items_in(documents, items) == expected and 0 < len(expected) < 300
