"""Tokens as text that people can read and programs can decode.

A tokenizer goes in. One string for each id comes out.

A token is a sequence of bytes. Where these are printable UTF-8, they stand as they are, including a
leading space. Everything else is escaped: `\\n`, `\\r`, `\\t`, `\\xNN` for a byte of a character
that several tokens share and for other control characters, and `\\\\` for a backslash. So the bytes
can be recovered exactly (`token_bytes`), and the bytes of all tokens of a text are the text.
"""

import json
import re

from tokenizers import Tokenizer

ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
PATTERN = re.compile(rb"\\(?:x([0-9a-f]{2})|([nrt\\]))")
LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\"}


def token_texts(tokenizer: Tokenizer) -> list[str]:
    """The text of every id from 0 to the highest.

    Special tokens have their names, and an id that no token has is `<id N>`.
    """
    return [escaped(piece) for piece in token_pieces(tokenizer)]


def token_pieces(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of every id from 0 to the highest."""
    decoder = json.dumps(json.loads(tokenizer.to_str())["decoder"], ensure_ascii=False)
    byte_of = bytes_of_characters() if '"ByteLevel"' in decoder else None
    has_fallback = '"ByteFallback"' in decoder
    has_metaspace = byte_of is None and "\u2581" in decoder
    added = tokenizer.get_added_tokens_decoder()
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    pieces = [b"<id %d>" % number for number in range(max(vocabulary.values()) + 1)]
    for piece, number in vocabulary.items():
        if number in added:
            pieces[number] = piece.encode()
        elif byte_of is not None and all(character in byte_of for character in piece):
            pieces[number] = bytes(byte_of[character] for character in piece)
        elif has_fallback and (match := re.fullmatch(r"<0x([0-9A-F]{2})>", piece)):
            pieces[number] = bytes.fromhex(match[1])
        else:
            pieces[number] = (piece.replace("\u2581", " ") if has_metaspace else piece).encode()
    return pieces


def escaped(piece: bytes) -> str:
    """The bytes as text, with what is not printable escaped."""
    text = piece.decode("utf-8", "surrogateescape")
    return "".join(_escape(character) for character in text)


def token_bytes(text: str) -> bytes:
    """The bytes for which `text` stands, as `escaped` wrote it."""
    return PATTERN.sub(
        lambda match: bytes.fromhex(match[1].decode()) if match[1] else LETTERS[match[2]],
        text.encode(),
    )


def _escape(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8 by itself
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x20 or code == 0x7F else character


def bytes_of_characters() -> dict[str, int]:
    """GPT-2's alphabet, {character: byte}.

    Printable bytes are written as themselves, the other bytes as the characters from U+0100 on.
    Source: bytes_to_unicode in OpenAI's gpt-2, src/encoder.py.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    for place, byte in enumerate(others):
        alphabet[chr(256 + place)] = byte
    return alphabet
