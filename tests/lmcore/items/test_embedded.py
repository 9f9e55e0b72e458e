"""What a page carries of items: the numbers of both sides by hand, and a bounded size."""

import json
import math

import pyarrow.compute as pc
import pytest

from lmcore.items.details import Text, lead
from lmcore.items.embedded import embedded, items_data, score
from lmcore.items.sides import MEASURES, ItemSet
from lmcore.suites.declare import KINDS
from tests.lmcore.items.toy_sets import pairs_set, toy_side
from tests.lmcore.nasty import NASTY
from tests.lmcore.token_tables import items_of


def item_of(of: ItemSet, row: int, most_tokens: int = 100) -> dict:
    """An item under all sides."""
    scored = score(of)
    assert scored is not None
    return items_data(scored, [row], most_tokens)[0]


def test_every_kind_has_a_measure():
    assert set(MEASURES) == set(KINDS)


def test_pairs_have_leads_log_probs_and_tokens_of_both_sides():
    item = item_of(pairs_set(), 2)  # in the order of the ids: g0/0, g0/2, g1/1, g1/3
    assert (item["id"], item["group"]) == ("g1/1", "g1")
    first, second = item["sides"]
    assert first["logprobs"] == [-1.5, -3.5] and second["logprobs"] == [-1.5, -0.75]
    assert (first["value"], first["right"]) == (2, 1)
    assert (second["value"], second["right"]) == (-0.75, 0)
    assert [option["gold"] for option in item["options"]] == [True, False]
    (cut,) = item["options"][1]["cuts"]  # both sides cut the text alike
    assert cut == {"pieces": ["he1", " no"], "n_context": 0}
    text = second["texts"][1]
    assert text["bits"] == [round(0.5 / math.log(2), 1), round(0.25 / math.log(2), 1)]
    assert text["ranks"] == [3, 3]
    assert text["tops"][0] == [["<id 9999>", 100]]  # log-prob 0, and no token of the tokenizer
    assert first["texts"][0]["tops"] == [0, 0]


def test_completion_has_the_log_prob_and_rank_of_its_target():
    items = items_of({"a": [("He saw the", " sea")]})
    side = toy_side("one", items, "completion", lambda *_: -2.0, rank=lambda word: 7)
    item = item_of(ItemSet("c", "completion", lambda: items, [side]), 0)
    assert item["sides"][0] | {"texts": 0} == {
        "right": 0,
        "value": -2,
        "rank": 7,
        "logprobs": [-2.0],
        "texts": 0,
    }
    assert item["options"][0]["cuts"][0] == {
        "pieces": ["He", " saw", " the", " sea"],
        "n_context": 3,
    }


def test_graded_has_the_lead_of_its_first_text_and_no_decision():
    scoring = {"bos": "prefix", "ratios": {"a": 0.7, "b": 0.2}}
    items = items_of({name: [("", "he yes"), ("", "he no")] for name in "ab"}, scoring=scoring)
    side = toy_side("one", items, "graded", lambda _draw, _before, word: -float(len(word)))
    item = item_of(ItemSet("g", "graded", lambda: items, [side]), 0)
    assert item["sides"][0]["logprobs"] == [-5.0, -4.0]
    assert (item["sides"][0]["value"], item["sides"][0]["right"]) == (-1, None)


def test_text_has_bits_per_byte_and_no_decision():
    items = items_of({"a": [("", "four byte")]})
    side = toy_side("one", items, "text", lambda *_: -math.log(2) * 4.5)
    item = item_of(ItemSet("t", "text", lambda: items, [side]), 0)
    assert (item["sides"][0]["value"], item["sides"][0]["right"]) == (1, None)


def test_values_of_a_random_model_are_means_over_draws():
    items = items_of({"a": [("", "he yes"), ("", "he no")]})
    side = toy_side("dummy", items, "pairs", lambda draw, *_: -1.0 - draw, draws=2)
    item = item_of(ItemSet("p", "pairs", lambda: items, [side]), 0)
    assert item["sides"][0]["logprobs"] == [-3.0, -3.0]
    assert item["sides"][0]["texts"][0]["bits"] == [1.4, 1.4]  # of the first draw
    assert item["sides"][0]["right"] == 0.5


def test_a_first_word_that_was_not_scored_is_a_piece_without_numbers():
    items = items_of({"a": [("", "he said yes")]})
    side = toy_side("one", items, "completion", lambda *_: -1.0, skip_first=True)
    item = item_of(ItemSet("c", "completion", lambda: items, [side]), 0)
    assert item["options"][0]["cuts"][0]["pieces"] == ["he", " said", " yes"]
    assert item["sides"][0]["texts"][0]["bits"] == [None, 1.4, 1.4]


def test_a_context_that_all_options_share_is_there_once():
    items = items_of({"a": [("He is", " in"), ("He is", " out")]})
    side = toy_side("one", items, "choices", lambda *_: -1.0)
    options = item_of(ItemSet("c", "choices", lambda: items, [side]), 0)["options"]
    assert [option["cuts"][0]["pieces"] for option in options] == [["He", " is", " in"], [" out"]]
    assert [option["cuts"][0]["n_context"] for option in options] == [2, 0]


def test_tokens_beyond_the_most_are_plain_text():
    of = pairs_set()
    item = item_of(of, 0, most_tokens=1)
    assert item["options"][0]["cuts"][0]["pieces"] == ["he0", " yes"]
    assert item["sides"][0]["texts"][0]["bits"][1] is None


@pytest.mark.parametrize("text", ["a\u202eb", "\x1b[31m", "é漢字👩‍👩‍👧"])
def test_pieces_are_the_text_as_it_is_shown(text: str):
    item = item_of(pairs_set(text=text), 0)
    shown = "".join(item["options"][0]["cuts"][0]["pieces"])
    escapes = text.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
    assert shown == f"he0{escapes} yes"


def test_lead_is_against_the_best_other_option():
    texts = [Text("", "a", False), Text("", "b", True), Text("", "c", False)]
    assert lead([-1.0, -2.0, -3.0], texts) == -1.0
    assert lead([-1.0, None, -3.0], texts) is None
    assert lead([-1.0], [Text("", "a", True)]) is None


def test_the_room_bounds_the_json_and_is_shared():
    sets = [pairs_set(40, "large"), pairs_set(2, "small")]
    whole = embedded(sets)
    assert [len(one["items"]) for one in whole] == [40, 2]
    some = embedded(sets, room=9000)
    assert len(json.dumps([one["items"] for one in some], separators=(",", ":"))) < 9000
    assert len(some[1]["items"]) == 2 and 2 < len(some[0]["items"]) < 40
    assert [one["nItems"] for one in some] == [40, 2]
    assert embedded(sets, room=9000) == some


def test_a_side_that_scored_other_items_is_left_out():
    of = pairs_set()
    fewer = of.items().filter(pc.not_equal(of.items()["item"], "g0/0"))
    side = toy_side("fewer", fewer, "pairs", lambda *_: -1.0)
    of = of._replace(sides=[*of.sides, side])
    assert [side["name"] for side in embedded([of])[0]["sides"]] == ["first", "second"]
    assert embedded([of._replace(sides=[side])]) == []


def test_names_are_as_they_are_shown():
    text = NASTY["bidirectional"]
    of = pairs_set()._replace(label=text)
    of = of._replace(sides=[of.sides[0]._replace(name=text)])
    assert "\u202e" not in json.dumps(embedded([of]), ensure_ascii=False)
