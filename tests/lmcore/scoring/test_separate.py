"""Texts whose targets are tokenised apart from their contexts, scored by the engine."""

import numpy as np
import pytest

from lmcore.errors import InputError
from lmcore.scoring.engine import Engine
from lmcore.tables import scoring_of
from tests.lmcore.scored_items import score_items
from tests.lmcore.scoring.conftest import items

SEPARATE = {"bos": "none", "tokenisation": "separate"}
TEXTS = [("The cats annoy", "ts"), ("He sat", "down"), ("The cats", "annoyts")]


@pytest.mark.parametrize("name", ["llama", "gpt2", "dummy"])
def test_table_holds_the_targets_alone_whatever_shares_a_pass(name, request):
    model = request.getfixturevalue(name)
    table = items(TEXTS, SEPARATE)
    one = score_items(model, table, token_budget=1)
    many = score_items(model, table, token_budget=1000)
    assert np.asarray(one["is_target"]).all()
    assert one.drop_columns(["logprob", "entropy", "top_logprob"]).equals(
        many.drop_columns(["logprob", "entropy", "top_logprob"])
    )
    if name == "llama":  # on the packed path, bit by bit
        assert one.equals(many)
    assert np.allclose(one["logprob"], many["logprob"], atol=1e-4)


def test_word_beginnings_are_refused(llama):
    table = items(TEXTS, {**SEPARATE, "bow": True})
    with pytest.raises(InputError, match="scoring 'bow' needs tokenisation: joint"):
        Engine(llama, scoring_of(table), "float32", 64)
