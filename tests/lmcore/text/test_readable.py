"""Tokens as text: every token decodes exactly, and the bytes of a text's tokens are the text."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from lmcore.text.readable import escaped, token_bytes, token_pieces, token_texts
from lmcore.text.tokenizer import load_fast

TEXT = "The café — naïve\n\ttab \\n literal 𝄞 \x07."


def test_every_token_decodes_to_its_bytes_and_no_two_are_alike(tokenizer) -> None:
    fast = load_fast(tokenizer)
    texts = token_texts(fast)
    assert [token_bytes(text) for text in texts] == token_pieces(fast)
    assert len(set(texts)) == fast.get_vocab_size() and all(
        text.isprintable() or "\xad" in text or "\xa0" in text for text in texts
    )
    assert {bytes([number]) for number in range(256)} <= set(token_pieces(fast))


def test_bytes_of_the_tokens_of_a_text_are_the_text(tokenizer) -> None:
    fast = load_fast(tokenizer)
    pieces = token_pieces(fast)
    assert b"".join(pieces[number] for number in fast.encode(TEXT).ids).decode() == TEXT


@pytest.mark.parametrize(
    ("piece", "text"),
    [
        (b" the", " the"),
        (b"\n", "\\n"),
        (b"\\n", "\\\\n"),
        (b"\xe2\x80", "\\xe2\\x80"),
        ("é".encode(), "é"),
        (b"\x07\t", "\\x07\\t"),
    ],
)
def test_escapes_are_undone(piece: bytes, text: str) -> None:
    assert escaped(piece) == text and token_bytes(text) == piece


def test_tokens_of_a_sentencepiece_vocabulary_have_spaces_and_bytes() -> None:
    vocabulary = {"<unk>": 0, "▁the": 1, "<0x0A>": 2, "a": 3, "<0xE9>": 5}
    fast = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.Metaspace()
    fast.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    assert token_texts(fast) == ["<unk>", " the", "\\n", "a", "<id 4>", "\\xe9"]
