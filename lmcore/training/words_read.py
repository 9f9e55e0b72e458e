"""How many tokens and words of its corpus a training has read by each step.

Words are those that whitespace separates, as BabyLM counts them, in the train split of the corpus:
its documents after the cleaning, without dev and test. A training reads tokens, so its words are a
share of them:

    words read = words of the train split * tokens read / tokens of one epoch

One epoch reads every chunk once. So it counts as all words of the split, also those in the cut-off
tail of the token stream (shorter than one chunk) and, with random offsets, in the one chunk more
that is not read; a text read again in a later epoch counts again. Words are taken to be spread
evenly over the tokens; how many stand in a given chunk is not counted. All tokens of a chunk are
read, the first one, which is not predicted, and boundary tokens included.
"""

import math
from typing import NamedTuple

import numpy as np

from lmcore.babylm_year import RULES
from lmcore.errors import InputError


class Course(NamedTuple):
    """A training from its first step to its last, counted in tokens."""

    n_examples: int  # that one epoch reads
    tokens: np.ndarray  # (n_steps,) int64: tokens read by the end of each step
    epoch_tokens: int  # tokens that one epoch reads

    @property
    def n_steps(self) -> int:
        return len(self.tokens)

    @property
    def epochs(self) -> float:
        """How often the training reads its examples."""
        return int(self.tokens[-1]) / self.epoch_tokens


def course(
    n_chunks: int,
    length: int,
    *,
    random_offset: bool,
    batch_size: int,
    epochs: int | None,
    steps: int | None,
) -> Course:
    """The course of a training on `n_chunks` of `length` tokens each.

    It takes `steps` steps, or those of `epochs`. The last batch of an epoch may be smaller. Raises
    InputError where there is nothing to read.
    """
    # a random offset makes a chunk run into the next one, which the last chunk lacks
    n_examples = n_chunks - random_offset
    if n_examples < 1:
        raise InputError(
            f"train_model: random_offset needs two chunks at least, not {n_chunks}; "
            "set it to false, or seq_len of chunk_corpus lower"
        )
    per_epoch = math.ceil(n_examples / batch_size)
    sizes = np.full(per_epoch, batch_size, np.int64)
    sizes[-1] = n_examples - (per_epoch - 1) * batch_size
    n_steps = steps or per_epoch * (epochs or 0)
    n_read = np.cumsum(np.resize(sizes, n_steps))  # np.resize repeats the epoch
    return Course(n_examples, n_read * length, n_examples * length)


def words_read(tokens: int, epoch_tokens: int, words: int) -> int:
    """The words that have been read with so many tokens, rounded down.

    `epoch_tokens` and `words` are the tokens and the words of one epoch.
    """
    return tokens * words // epoch_tokens


def step_of_words(wanted: int, words: int, progress: Course) -> int:
    """The first step, from 1, by whose end a training has read `wanted` words.

    `words` are those of one epoch. Raises InputError where the whole training reads fewer.
    """
    least = -(-wanted * progress.epoch_tokens // words)  # tokens, rounded up
    step = int(np.searchsorted(progress.tokens, least)) + 1
    if step > progress.n_steps:
        total = words_read(int(progress.tokens[-1]), progress.epoch_tokens, words)
        raise InputError(
            f"keep_checkpoint: no step has read {wanted:,} words; the training reads {total:,} "
            f"({progress.epochs:.4g} epochs of the {words:,} words in the train split)"
        )
    return step


def check_rules(name: str, rules: str, words: int, progress: Course) -> str:
    """A line that says how far a training goes to the limits of these RULES.

    `words` are those of one epoch; `name` is the model's. A student's teachers are trainings of
    their own, each of them checked likewise. Raises InputError where a limit is exceeded.
    """
    limits = RULES[rules]
    said = (
        f"{words:,} of at most {limits.words:,} words in the train split, "
        f"{progress.epochs:.4g} of at most {limits.epochs} epochs"
    )
    if words > limits.words or int(progress.tokens[-1]) > limits.epochs * progress.epoch_tokens:
        raise InputError(
            f"{name}: the training breaks train_model.rules: {rules}: it has {said}; "
            "change the corpus, epochs or steps, or set rules to null"
        )
    return f"{name}: {rules}: {said}"
