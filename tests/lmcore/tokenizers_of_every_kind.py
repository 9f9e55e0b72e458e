"""Small tokenizers of every kind in use, trained on a few lines, for property tests."""

from functools import cache

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

LINES = [
    "The old man walked to the sea, and looked at the ships.",
    "Café naïve: 12,345 letters!",
    "dogs don't  bark\n\tat 7 am",
] * 4
SPECIALS = ["<unk>", "<s>", "</s>"]  # ids 0, 1, 2
BYTES = [f"<0x{number:02X}>" for number in range(256)]
BYTE_LEVEL = ("byte_level", "byte_level_trimmed", "byte_level_prefix_space", "byte_level_nfkc")
# SentencePiece's byte fallback, as Llama 2 and Gemma have it
BYTE_FALLBACK = ("metaspace_byte_fallback", "unigram_byte_fallback")
WITH_UNKNOWN = ("word_piece", "word_level", "unigram")
KINDS = BYTE_LEVEL + BYTE_FALLBACK + WITH_UNKNOWN


@cache
def tokenizer_of(kind: str) -> Tokenizer:
    """The tokenizer of one of KINDS; its special tokens are `<unk>` 0, `<s>` 1 and `</s>` 2."""
    if kind.startswith("byte_level"):
        return _byte_level(kind)
    if kind == "metaspace_byte_fallback":
        return _metaspace_byte_fallback()
    if kind.startswith("unigram"):
        return _unigram(kind == "unigram_byte_fallback")
    return _word_piece() if kind == "word_piece" else _word_level()


def _byte_level(kind: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if kind == "byte_level_nfkc":
        tokenizer.normalizer = normalizers.NFKC()
    has_prefix_space = kind == "byte_level_prefix_space"
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=has_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=kind == "byte_level_trimmed")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    options = {"special_tokens": SPECIALS, "initial_alphabet": alphabet, "show_progress": False}
    trainer = trainers.BpeTrainer(vocab_size=300, **options)
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def _metaspace_byte_fallback() -> Tokenizer:
    merged = ["▁", "▁t", "th", "he", "▁the"]
    pieces = [*SPECIALS, *BYTES, *_letters(), *merged]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    merges = [("▁", "t"), ("t", "h"), ("h", "e"), ("▁t", "he")]
    options = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, **options))
    spaces = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence(spaces)
    steps = [
        decoders.Replace("▁", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ]
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens(SPECIALS)
    return tokenizer


def _unigram(byte_fallback: bool) -> Tokenizer:
    letters = _letters() + (BYTES if byte_fallback else [])
    pieces = [*SPECIALS, "▁", "▁the", "▁sea", "ship", *letters]
    scores = {"▁the": -2.0, "▁sea": -3.0, "ship": -3.0}
    scored = [(piece, scores.get(piece, -5.0)) for piece in pieces]
    tokenizer = Tokenizer(models.Unigram(scored, 0, byte_fallback))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    if byte_fallback:
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    else:
        tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(SPECIALS)
    return tokenizer


def _letters() -> list[str]:
    """The characters of LINES that are no whitespace."""
    return sorted(set("".join(LINES)) - {" ", "\n", "\t"})


def _word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    options = {"special_tokens": SPECIALS, "show_progress": False}
    trainer = trainers.WordPieceTrainer(vocab_size=80, **options)
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def _word_level() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=SPECIALS, show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer
