"""Any text with every kind of tokenizer.

The tokens are those of the tokenizer, and their spans lie in the text.
"""

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lmcore.errors import InputError
from lmcore.text.encoder import Text, TextEncoder
from tests.lmcore.scoring.conftest import items
from tests.lmcore.tokenizers_of_every_kind import KINDS, tokenizer_of

WORDS = st.sampled_from(["the", " the", " sea", "ship", " ", "  ", "\n", "don't", "7", "\x00"])
COMPOSED = st.sampled_from(["\ufb03", "é", "e\u0301", "①", "漢字", "𝄞"])
OTHERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
TEXTS = st.lists(WORDS | COMPOSED | OTHERS, max_size=8).map("".join)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> dict[str, TextEncoder]:
    """A text encoder under `bos: prefix` for each kind of tokenizer."""
    encoders = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        tokenizer_of(kind).save(str(folder / "tokenizer.json"))
        names = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(names))
        (folder / "config.json").write_text("{}")
        encoders[kind] = TextEncoder(folder, 1000, "prefix", "suite")
    return encoders


def encoded(encoder: TextEncoder, *texts: tuple[str, str]) -> list[Text]:
    """The texts of (context, target) pairs.

    hypothesis skips the example if a text has no token to score.
    """
    try:
        return encoder.encode(items(list(texts)))
    except InputError as error:
        assert "no token of the target" in str(error)
        assume(False)
        raise


def ids_of(kind: str, text: str) -> list[int]:
    return tokenizer_of(kind).encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("kind", KINDS)
@given(context=TEXTS, target=TEXTS.filter(bool))
def test_tokens_are_those_of_the_text_and_its_end_is_the_target(encoders, kind, context, target):
    text, whole = encoded(encoders[kind], (context, target), ("", context + target))
    assert text.ids.tolist() == [1, *ids_of(kind, context + target)]
    assert text.n_prefix == text.n_unscored == 1
    for name in ("ids", "starts", "ends"):
        one, other = getattr(text, name).tolist(), getattr(whole, name).tolist()
        assert one == other, "a context moves no token"
    assert whole.is_target.all()

    assert len(text.starts) == len(text.ends) == len(text.is_target) == len(text.ids) - 1
    assert (text.starts >= 0).all() and (text.starts <= text.ends).all()
    assert (text.ends <= len(context + target)).all()
    assert (np.diff(text.starts) >= 0).all() and (np.diff(text.ends) >= 0).all()
    assert (np.diff(text.is_target.astype(int)) >= 0).all(), "the context's tokens come first"
    assert (text.ends[~text.is_target] <= len(context)).all()
    says_something = text.is_target & (text.starts < text.ends)
    assert (text.ends[says_something] > len(context)).all()


@pytest.mark.parametrize("kind", ["byte_level", "byte_level_prefix_space", "byte_level_trimmed"])
@given(text=TEXTS.filter(bool))
def test_spans_of_byte_level_tokens_cover_the_text(encoders, kind: str, text: str):
    (found,) = encoded(encoders[kind], ("", text))
    covered = np.zeros(len(text), bool)
    for start, end in zip(found.starts, found.ends, strict=True):
        covered[start:end] = True
    left_out = [text[place] for place in np.flatnonzero(~covered)]
    assert not "".join(left_out).strip() if kind == "byte_level_trimmed" else not left_out


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS.filter(bool))
def test_a_text_that_brings_its_bos_has_it_once(encoders, kind: str, text: str):
    (own,) = encoded(encoders[kind], ("", "<s>" + text))
    assert own.ids.tolist() == ids_of(kind, "<s>" + text) and own.ids[0] == 1 and own.n_prefix == 1
    assert (own.starts >= len("<s>")).all()
