import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.text.tokenizer import (
    bytes_without_token,
    check_vocabulary,
    load_fast,
    lost_characters,
    make_tokenizer,
    round_trips,
)

ARGUMENTS = {
    "vocab_size": 300,
    "min_frequency": 2,
    "normalizer": None,
    "add_prefix_space": False,
    "imported": None,
}


def without_alphabet() -> Tokenizer:
    """A tokenizer with the flaw of the published recipe, which sets no initial alphabet.

    Bytes that the training text lacks have no token (DESIGN trap 5).
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        ["plain words"], trainers.BpeTrainer(vocab_size=300, show_progress=False)
    )
    return tokenizer


@pytest.mark.parametrize("normalizer", [None, "nfkc"])
@pytest.mark.parametrize("add_prefix_space", [False, True])
def test_make_tokenizer_gives_back_every_byte(corpus, tmp_path, normalizer, add_prefix_space):
    options = {**ARGUMENTS, "normalizer": normalizer, "add_prefix_space": add_prefix_space}
    assert make_tokenizer(corpus, tmp_path / "t", tmp_path, **options) == {
        "bytes_without_token": 0,
        "vocab_size": 300,
    }
    tokenizer = load_fast(tmp_path / "t")
    assert [tokenizer.token_to_id(t) for t in ("<pad>", "<s>", "</s>")] == [0, 1, 2]
    for text in ("\r\n\x00\xa0", "日本語 😀", "".join(map(chr, range(256)))):
        assert lost_characters(tokenizer, text) == 0


def test_make_tokenizer_twice_gives_equal_bytes(corpus, tmp_path):
    for name in "ab":
        make_tokenizer(corpus, tmp_path / name, tmp_path, **ARGUMENTS)
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")


def test_transformers_loads_it_with_equal_ids_and_length(tokenizer):
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(tokenizer)
    assert len(theirs) == 300 and (
        theirs.bos_token_id,
        theirs.eos_token_id,
        theirs.pad_token_id,
    ) == (1, 2, 0)
    text = " The old man's é\n"
    assert (
        theirs(text)["input_ids"] == load_fast(tokenizer).encode(text).ids
        and theirs.decode(theirs(text)["input_ids"]) == text
    )


def test_tokenizer_without_alphabet_has_counted_gaps():
    tokenizer = without_alphabet()
    assert bytes_without_token(tokenizer) == 256 - len(set("plain words")) and not round_trips(
        tokenizer
    )
    assert (
        lost_characters(tokenizer, "plain é words") == 1
        and lost_characters(tokenizer, "plain words") == 0
    )


def test_check_vocabulary_id_beyond_is_refused(tokenizer):
    fast = load_fast(tokenizer)
    fast.add_special_tokens(["<|endoftext|>"])
    with pytest.raises(
        InputError, match="'<\\|endoftext\\|>' has id 300, beyond a vocabulary of 300"
    ):
        check_vocabulary(fast, 300)
    with pytest.raises(InputError, match="has 301 entries, expected vocab_size 400"):
        check_vocabulary(fast, 400)


def test_make_tokenizer_too_little_text_is_refused_and_nothing_written(corpus, tmp_path):
    with pytest.raises(InputError, match="expected vocab_size 9,000"):
        make_tokenizer(corpus, tmp_path / "t", tmp_path, **{**ARGUMENTS, "vocab_size": 9000})
    assert not list(tmp_path.iterdir())


def test_make_tokenizer_imports_babyllama_and_counts_its_gaps(corpus, tmp_path, data):
    source = {
        "provider": "folder",
        "location": "tokenizers/babyllama-16k",
        "members": ["tokenizer.json"],
        "sha256": None,
    }
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "tokenizer.json").write_bytes(
        (data / "tokenizers/babyllama-16k/tokenizer.json").read_bytes()
    )
    imported = {**source, "sha256": sha256(tmp_path / "one")}
    gaps = make_tokenizer(
        corpus, tmp_path / "t", tmp_path, **{**ARGUMENTS, "vocab_size": 16000, "imported": imported}
    )
    assert gaps == {"bytes_without_token": 53, "vocab_size": 16000}


def test_make_tokenizer_imports_gpt2_vocab_and_merges(corpus, tmp_path, data):
    imported = {
        "provider": "folder",
        "location": "tokenizers/gpt2",
        "members": ["*"],
        "sha256": sha256(data / "tokenizers/gpt2"),
    }
    assert (
        make_tokenizer(
            corpus,
            tmp_path / "t",
            tmp_path,
            **{**ARGUMENTS, "vocab_size": 50257, "imported": imported},
        )["bytes_without_token"]
        == 0
    )
    assert load_fast(tmp_path / "t").encode("Hello world").ids == [15496, 995]


def llama_like() -> Tokenizer:
    """SentencePiece's BPE with byte fallback, as Llama 2 has it.

    Spaces are `▁`, and one stands before the text.
    """
    fallbacks = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = ["<unk>", "<s>", "</s>", *fallbacks, *"\u2581abcdefghijklmnopqrstuvwxyz."]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, [], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    steps = [
        decoders.Replace("\u2581", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ]
    tokenizer.decoder = decoders.Sequence(steps)
    return tokenizer


def test_tokenizer_with_byte_fallback_loses_nothing():
    tokenizer = llama_like()
    assert bytes_without_token(tokenizer) == 0 and round_trips(tokenizer)
    assert lost_characters(tokenizer, "the Ω  cat\nsat.") == 0


def test_characters_that_an_unknown_token_stands_for_are_lost():
    words = Tokenizer(
        models.WordPiece({"[UNK]": 0, "the": 1, "cat": 2, "##s": 3, ".": 4}, unk_token="[UNK]")
    )
    words.normalizer, words.pre_tokenizer = (
        normalizers.BertNormalizer(lowercase=True),
        pre_tokenizers.BertPreTokenizer(),
    )
    assert (
        lost_characters(words, "The  cats\ncat.") == 0
        and lost_characters(words, "The Ωμ cats.") == 2
    )
    assert bytes_without_token(words) == 255
