"""Make and read tokenizers.

The training documents go in, or somebody else's tokenizer. A fast Hugging Face tokenizer comes out,
and what it cannot represent.

Our own tokenizers are byte-level BPE. They start from the full alphabet of 256 bytes, so no text is
ever unknown. (A BPE without the full alphabet returns `None` for an unseen byte, or drops it.)
`<pad>` is 0, `<s>` 1 and `</s>` 2. The tokenizer adds no special token by itself. Code that needs
one adds it itself, once and explicitly.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from tokenizers import (
    Encoding,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from lmcore.corpus.documents import read_documents
from lmcore.corpus.sources import Source, fetch
from lmcore.errors import InputError
from lmcore.files import read_bounded, whole
from lmcore.params.ranges import RANGE, Count
from lmcore.text.token_losses import Losses, is_byte_level
from lmcore.text.tokenizer_config import read_tokenizer_config, tokens_to_add

SPECIALS = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
# the bound of token ids; the largest vocabularies in use have a sixteenth of it
MOST_TOKENS = 2**22
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())


def make_tokenizer(
    corpus: Path,
    out: Path,
    downloads: Path,
    *,
    vocab_size: Annotated[int, Field(ge=2, le=2**24), RANGE],
    min_frequency: Count,
    normalizer: Literal["nfkc"] | None,
    add_prefix_space: bool,
    imported: Source | None,
) -> dict:
    """Write the tokenizer folder `out` and return what the tokenizer lacks.

    It is trained on the train split of `corpus`, or `imported` from a source. Raises InputError
    where the result has not exactly `vocab_size` entries, and where a tokenizer of our own does not
    give back every byte.
    """
    with whole(out) as folder:
        folder.mkdir()
        if imported:
            tokenizer = _import(folder, downloads, imported)
        else:
            tokenizer = _train(corpus, vocab_size, min_frequency, normalizer, add_prefix_space)
        check_vocabulary(tokenizer, vocab_size)
        gaps = {
            "bytes_without_token": bytes_without_token(tokenizer),
            "vocab_size": tokenizer.get_vocab_size(),
        }
        if not imported and (gaps["bytes_without_token"] or not round_trips(tokenizer)):
            raise InputError("train_tokenizer: the trained tokenizer does not give back every byte")
        save_tokenizer(tokenizer, folder)
    return gaps


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json into `folder`.

    The latter tells transformers which tokens are special, and says nothing about the machine.
    """
    tokenizer.save(str(folder / "tokenizer.json"))
    specials = {
        name: token for name, token in SPECIALS.items() if tokenizer.token_to_id(token) is not None
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **specials,
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8"
    )


def load_fast(path: Path) -> Tokenizer:
    """The tokenizer of a folder, with the ids that transformers' PreTrainedTokenizerFast gives.

    It is tokenizer.json as it stands, with the tokens that the files beside it add
    (lmcore.text.tokenizer_config). Truncation, padding and dropout of merges are off, so that a
    text has all its tokens, and the same ones every time.

    Raises InputError for a folder without a tokenizer.json, and for a file in it that cannot be
    what it is called.
    """
    file = path / "tokenizer.json"
    if not file.exists():
        raise InputError(f"{path}: no tokenizer.json; expected the folder of a fast tokenizer")
    tokenizer, config = read_tokenizer(file), read_tokenizer_config(path)
    padding = tokenizer.padding["pad_token"] if tokenizer.padding else None
    tokenizer.add_tokens(tokens_to_add(config, tokenizer.get_added_tokens_decoder(), padding))
    tokenizer.encode_special_tokens = config.split_special_tokens
    return _complete_and_deterministic(tokenizer)


def _complete_and_deterministic(tokenizer: Tokenizer) -> Tokenizer:
    """`tokenizer` itself, without truncation, padding and dropout of merges."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if isinstance(tokenizer.model, models.BPE):
        tokenizer.model.dropout = None
    return tokenizer


def read_tokenizer(file: Path) -> Tokenizer:
    """The tokenizer in a tokenizer.json, as it stands.

    Raises InputError, naming the file, for one that holds no tokenizer.
    """
    content = read_bounded(file, "a tokenizer.json")
    try:
        tokenizer = Tokenizer.from_buffer(content)
        highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    except BaseException as error:
        # a panic of the Rust library is a PanicException, which is no subclass of Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        reason = first_line.removeprefix("Cannot instantiate Tokenizer from buffer: ")
        raise InputError(
            f"{file}: expected a file that the tokenizers library has written; "
            f"it cannot be read: {reason}"
        ) from error
    if not 0 <= highest < MOST_TOKENS:
        raise InputError(
            f"{file}: the highest token id is {highest:,}; "
            f"expected at least one token, and ids below {MOST_TOKENS:,}"
        )
    return tokenizer


def encode_texts(
    tokenizer: Tokenizer, texts: list[str], name: Callable[[int], str], *, add_special_tokens: bool
) -> list[Encoding]:
    """The encodings of the texts.

    Raises InputError for a text that cannot be encoded. The error begins with the `name` of the
    text's number.
    """
    try:
        return tokenizer.encode_batch(texts, add_special_tokens=add_special_tokens)
    except Exception:  # the library's own errors have no other class
        for number, text in enumerate(texts):
            try:
                tokenizer.encode(text, add_special_tokens=add_special_tokens)
            except Exception as error:
                reason = str(error).splitlines()[0]
                raise InputError(
                    f"{name(number)}: the tokenizer cannot encode the text: {reason}"
                ) from error
        raise


def check_vocabulary(tokenizer: Tokenizer, vocab_size: int) -> None:
    """Raises InputError unless the ids are exactly 0 ... vocab_size - 1.

    An id beyond the embedding would index out of range, as the id 16000 of BabyLlama's published
    tokenizer does.
    """
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    beyond = sorted((i, token) for token, i in vocabulary.items() if i >= vocab_size)
    if beyond:
        number, token = beyond[0]
        raise InputError(
            f"tokenizer: the token '{token}' has id {number}, beyond a vocabulary of {vocab_size:,}"
        )
    if len(vocabulary) != vocab_size:
        raise InputError(
            f"tokenizer: has {len(vocabulary):,} entries, expected vocab_size {vocab_size:,}; "
            "too little text gives fewer merges"
        )


def bytes_without_token(tokenizer: Tokenizer) -> int:
    """How many of the 256 bytes have no token.

    Text with such bytes cannot be fully represented. In a vocabulary of characters, the ASCII
    characters are counted as bytes, and so are the pieces `<0x00>` to `<0xFF>` to which a tokenizer
    falls back.
    """
    vocabulary = set(tokenizer.get_vocab())
    if is_byte_level(tokenizer):
        return len(set(ALPHABET) - vocabulary)
    fallbacks = {byte for byte in range(256) if f"<0x{byte:02X}>" in vocabulary}
    ascii_bytes = {byte for byte in range(128) if chr(byte) in vocabulary}
    spaces = {0x20} if "\u2581" in vocabulary else set()
    return 256 - len(fallbacks | spaces | ascii_bytes)


def round_trips(tokenizer: Tokenizer) -> bool:
    """Whether decoding gives back the text that was encoded.

    The text has characters that need each of the bytes. The tokenizer's own normaliser and prefix
    space do not count as a difference.
    """
    codes = [*range(256), *range(0x100, 0x11000, 0x40), *range(0x10000, 0x110000, 0x1000)]
    surrogates = range(0xD800, 0xE000)
    text = "".join(chr(code) for code in codes if code not in surrogates)
    return lost_characters(tokenizer, text) == 0


def lost_characters(
    tokenizer: Tokenizer, text: str, encoding: Encoding | None = None, losses: Losses | None = None
) -> int:
    """How many characters of the normalised text have no token, or only an unknown one (`<unk>`).

    For a byte-level tokenizer, these are the characters that encoding and decoding lose; other
    tokenizers may decode to other spaces. encoding, losses: those of this text and this tokenizer,
    where the caller has them already.
    """
    encoding = encoding or tokenizer.encode(text, add_special_tokens=False)
    if not is_byte_level(tokenizer):
        return (losses or Losses(tokenizer)).n_characters(text, encoding)
    normalised = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
    decoded = tokenizer.decode(encoding.ids, skip_special_tokens=False)
    if decoded == normalised or decoded.removeprefix(" ") == normalised.removeprefix(" "):
        return 0
    return max(1, len(normalised) - len(decoded))


def _train(
    corpus: Path,
    vocab_size: int,
    min_frequency: int,
    normalizer: str | None,
    add_prefix_space: bool,
) -> Tokenizer:
    """A byte-level BPE trained on the train split of `corpus`."""
    if normalizer not in (None, "nfkc"):
        raise InputError(
            f"train_tokenizer: unknown normalizer '{normalizer}'; expected nfkc or null"
        )
    tokenizer = _byte_level(models.BPE(), add_prefix_space)
    if normalizer:
        tokenizer.normalizer = normalizers.NFKC()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(SPECIALS.values()),
        initial_alphabet=ALPHABET,
        show_progress=False,
    )
    texts = [row["text"] for row in read_documents(corpus / "train.parquet")]
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    return tokenizer


def _import(folder: Path, downloads: Path, source: dict) -> Tokenizer:
    """The tokenizer of a source, as it stands: tokenizer.json, or vocab.json and merges.txt.

    Raises InputError for a source that has neither.
    """
    with whole(folder / "source") as fetched:
        fetch("tokenizer", fetched, downloads, **source)
        files = {path.name: path for path in fetched.iterdir()}
        if "tokenizer.json" in files:
            return _complete_and_deterministic(read_tokenizer(files["tokenizer.json"]))
        if {"vocab.json", "merges.txt"} <= files.keys():
            model = models.BPE.from_file(str(files["vocab.json"]), str(files["merges.txt"]))
            return _byte_level(model, add_prefix_space=False)
        raise InputError(
            f"train_tokenizer: the imported source has {', '.join(sorted(files))}; "
            "expected tokenizer.json, or vocab.json and merges.txt"
        )


def _byte_level(model: models.BPE, add_prefix_space: bool) -> Tokenizer:
    """A byte-level tokenizer around a model."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer
