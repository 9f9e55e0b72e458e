import itertools

import numpy as np
import pytest

from lmcore.errors import InputError
from lmcore.training.batches import batches
from lmcore.training.words_read import check_rules, course, step_of_words, words_read


def made(n_chunks=10, length=8, **options):
    defaults = {"random_offset": False, "batch_size": 4, "epochs": 2, "steps": None}
    return course(n_chunks, length, **{**defaults, **options})


def test_course_counts_the_tokens_of_every_step_and_the_shorter_last_batches():
    # batches of 4, 4 and 2 chunks of 8 tokens, twice
    assert made().tokens.tolist() == [32, 64, 80, 112, 144, 160]
    assert made().epochs == 2 and made().n_steps == 6
    assert made(epochs=None, steps=4).tokens.tolist() == [32, 64, 80, 112]
    assert made(epochs=None, steps=4).epochs == 1.4


@pytest.mark.parametrize(
    ("n_chunks", "batch_size", "random_offset"),
    list(itertools.product([2, 5, 12], [1, 4, 32], [False, True])),
)
def test_course_is_that_of_the_batches_that_are_taken(n_chunks, batch_size, random_offset):
    progress = made(n_chunks, batch_size=batch_size, random_offset=random_offset, epochs=3)
    n_examples = n_chunks - random_offset
    sizes = [len(rows) for _, rows in batches(n_examples, batch_size, progress.n_steps, 0)]
    assert progress.tokens.tolist() == (8 * np.cumsum(sizes)).tolist()
    assert progress.n_examples == n_examples and progress.epochs == 3


def test_course_of_one_chunk_with_random_offset_is_refused():
    with pytest.raises(InputError, match="random_offset needs two chunks at least, not 1"):
        made(1, random_offset=True)


def test_step_of_words_is_the_first_one_that_has_read_them():
    progress, words = made(), 1000  # 500 words after 40 tokens, 2,000 in all
    read = [words_read(tokens, 80, words) for tokens in progress.tokens.tolist()]
    assert read == [400, 800, 1000, 1400, 1800, 2000]
    for wanted in range(1, 2001):
        step = step_of_words(wanted, words, progress)
        assert read[step - 1] >= wanted and (step == 1 or read[step - 2] < wanted)


def test_step_of_words_is_exact_where_words_and_tokens_do_not_divide():
    progress = made(7, 13, batch_size=1, epochs=5)
    for wanted in range(1, 5 * 101 + 1):
        step = step_of_words(wanted, 101, progress)
        exact = [tokens * 101 >= wanted * 91 for tokens in progress.tokens.tolist()]
        assert step == exact.index(True) + 1


@pytest.mark.parametrize("random_offset", [False, True])
def test_ten_epochs_of_ten_million_words_have_read_a_hundred_million(random_offset):
    # with chunks cut off a stream whose tail is never read
    progress = made(54_321, 256, batch_size=256, epochs=10, random_offset=random_offset)
    assert step_of_words(100_000_000, 10_000_000, progress) == progress.n_steps
    assert check_rules("m", "babylm2026_strict_small", 10_000_000, progress) == (
        "m: babylm2026_strict_small: 10,000,000 of at most 10,000,000 words in the train split, "
        "10 of at most 10 epochs"
    )


def test_step_of_words_beyond_the_training_says_how_many_it_reads():
    with pytest.raises(InputError) as error:
        step_of_words(2001, 1000, made())
    assert str(error.value) == (
        "keep_checkpoint: no step has read 2,001 words; the training reads 2,000 "
        "(2 epochs of the 1,000 words in the train split)"
    )


@pytest.mark.parametrize(
    ("rules", "words", "options", "said"),
    [
        ("babylm2026_strict_small", 10_000_001, {}, "10,000,001 of at most 10,000,000 words"),
        ("babylm2026_strict", 100_000_001, {}, "100,000,001 of at most 100,000,000 words"),
        ("babylm2025_strict", 10, {"epochs": 11}, "11 of at most 10 epochs"),
        # 30 steps are ten epochs
        ("babylm2025_strict", 10, {"epochs": None, "steps": 31}, "10.4 of at most 10 epochs"),
    ],
)
def test_check_rules_refuses_more_words_or_epochs_in_one_line(rules, words, options, said):
    with pytest.raises(InputError) as error:
        check_rules("big", rules, words, made(**options))
    message = str(error.value)
    assert message.startswith(f"big: the training breaks train_model.rules: {rules}: it has ")
    assert said in message and "\n" not in message
    assert check_rules("big", rules, 10, made(epochs=None, steps=30))
