"""Tokens as text, for any bytes: they decode exactly, and what is lost is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from lmcore.text.readable import escaped, token_bytes, token_pieces, token_texts
from lmcore.text.tokenizer import lost_characters
from tests.lmcore.tokenizers_of_every_kind import KINDS, tokenizer_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
LOOKALIKES = st.sampled_from([b"\\", b"\\n", b"\\x41", "é".encode(), b"\xe2\x80"])
PIECES = st.lists(st.binary(max_size=3) | LOOKALIKES).map(b"".join)


@given(PIECES)
def test_escaped_bytes_come_back_and_print_on_one_line(piece: bytes):
    text = escaped(piece)
    assert token_bytes(text) == piece
    assert not set(text) & {"\n", "\r", "\t", "\x00", "\x1b", "\x7f"}


@given(PIECES, PIECES)
def test_different_bytes_are_different_texts(one: bytes, other: bytes):
    assert (escaped(one) == escaped(other)) == (one == other)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_of_every_vocabulary_are_its_pieces(kind: str):
    tokenizer = tokenizer_of(kind)
    pieces, texts = token_pieces(tokenizer), token_texts(tokenizer)
    assert len(pieces) == len(texts) == max(tokenizer.get_vocab().values()) + 1
    assert [token_bytes(text) for text in texts] == pieces


@pytest.mark.parametrize("kind", ["byte_level", "byte_level_trimmed"])
@given(text=TEXTS)
def test_pieces_of_a_byte_level_text_are_its_bytes(kind: str, text: str):
    tokenizer = tokenizer_of(kind)
    pieces = token_pieces(tokenizer)
    assert b"".join(pieces[number] for number in tokenizer.encode(text).ids) == text.encode()
    assert lost_characters(tokenizer, text) == 0


@pytest.mark.parametrize("kind", ["metaspace_byte_fallback", "unigram_byte_fallback"])
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁"), min_size=1))
def test_pieces_of_a_text_with_byte_fallback_are_its_bytes_behind_a_space(kind: str, text: str):
    """SentencePiece puts a space in front and writes it as ▁, which the text must not hold."""
    tokenizer = tokenizer_of(kind)
    pieces = token_pieces(tokenizer)
    found = b"".join(pieces[number] for number in tokenizer.encode(text).ids).decode()
    assert found in (text, " " + text)


@given(st.text("The old man walked é→漢", max_size=20))
def test_lost_characters_are_counted_where_a_vocabulary_lacks_bytes(text: str):
    """Without the byte 0xE2, which only the arrow begins with, only arrows are lost."""
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - {"â"})  # GPT-2's letter for 0xE2
    vocabulary = {letter: number for number, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    assert (lost_characters(tokenizer, text) > 0) == ("→" in text)
