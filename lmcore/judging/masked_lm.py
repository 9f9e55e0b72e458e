"""Masked language models (BERT) that judge how probable a word is in its place.

They are fine-tuned on the corpus until they are good at it.

- Fine-tuning masks whole words, each with the same probability. Every piece of such a word is
  replaced by the mask token. Dropout stays off: few steps over text that is seen once have nothing
  to overfit. What is masked depends on the seed and the step alone.
- The pseudo-log-likelihood of a word is the sum over its pieces of their log-prob where the piece
  and the word's later pieces are masked. With these in sight, a rare word of several pieces would
  look probable.

Source: Salazar et al. 2020, https://aclanthology.org/2020.acl-main.240; Kauf & Ivanova 2023,
https://aclanthology.org/2023.acl-short.80 (PLL-word-l2r); Wettig et al. 2023,
https://aclanthology.org/2023.eacl-main.217 (masks alone, no random or kept pieces).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from lmcore.corpus.documents import read_documents
from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.machine.memory import keep_freed_memory
from lmcore.machine.progress import Progress
from lmcore.models.folder import read_any_config
from lmcore.models.llama import save_model
from lmcore.models.load import load_tokenizer
from lmcore.params.ranges import (
    Count,
    NonNegative,
    OpenShare,
    Pieces,
    Positive,
    Processes,
    Seed,
    UpToOne,
    Whole,
)
from lmcore.params.schema import together
from lmcore.training.schedule import schedule

EVAL_CHUNKS = 64  # a forward pass


class MaskedLM:
    """The masked LM of a folder.

    The folder holds config.json, safetensors and a fast tokenizer that has a mask token.
    """

    def __init__(self, path: Path):
        """Raises InputError for a folder that is no masked LM."""
        from transformers import AutoModelForMaskedLM
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        read_any_config(path)
        self.path = path
        tokenizer = load_tokenizer(path)
        if tokenizer.mask_token_id is None:
            raise InputError(f"{path}: its tokenizer has no mask token; expected a masked LM")
        try:
            model = AutoModelForMaskedLM.from_pretrained(
                path,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
        except ValueError as error:
            raise InputError(f"{path}: not a masked LM: {str(error).splitlines()[0]}") from error
        self.model, self.head = model.eval(), model.get_output_embeddings()
        self.mask_id, self.tokenizer = tokenizer.mask_token_id, tokenizer.backend_tokenizer
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        empty = tokenizer.backend_tokenizer.encode("").ids  # [CLS] [SEP], or as the model has them
        self.before, self.after = empty[:1], empty[1:]

    def logits(
        self, ids: torch.Tensor, is_asked: torch.Tensor, is_text: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (N, V) at the positions where `is_asked` (B, T) holds, row by row.

        `is_text` (B, T) is the attention mask; None: all of `ids` (B, T) is text.
        """
        mask = torch.ones_like(ids) if is_text is None else is_text
        with _asked_only(self.head, is_asked.flatten().nonzero()[:, 0]):
            return self.model(input_ids=ids, attention_mask=mask).logits


class Chunks(NamedTuple):
    """Documents in chunks of pieces, between the model's special tokens."""

    pieces: np.ndarray  # (n, seq_len) int64
    words: np.ndarray  # (n, seq_len), the number of a piece's word in its document; -1: special


class Recipe(NamedTuple):
    """How a masked LM is fine-tuned."""

    rates: list[float]  # the learning rate of each step
    batch_size: int  # chunks
    mask_share: float
    weight_decay: float  # of matrices
    seed: int


def check_warmup(*, steps: int, warmup_steps: int, **others) -> None:
    """Raises InputError where the learning rate would never reach its peak."""
    if steps and warmup_steps > steps:
        raise InputError(f"warmup_steps must be at most {steps}, all steps, not {warmup_steps}")


@together(check_warmup)
def finetune_judge(
    source: Path,
    corpus: Path,
    out: Path,
    *,
    steps: Whole,
    batch_size: Count,
    seq_len: Pieces,
    mask_share: OpenShare,
    lr: UpToOne,
    warmup_steps: Whole,
    weight_decay: NonNegative,
    accept_loss: Positive,
    threads: Processes,
    seed: Seed,
) -> dict:
    """Write the masked LM of the folder `source`, trained on the corpus, to the folder `out`.

    Returns what the dev split says of it before and after: nats and accuracy per masked piece, and
    the loss of the pieces' frequencies alone. `batch_size` counts chunks of `seq_len` pieces of the
    corpus' train split. steps: 0 takes a published model as it is.

    Raises InputError where the loss stays above `accept_loss`: such a model is no judge.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()
    judge = MaskedLM(source)
    train = _chunks(judge, corpus / "train.parquet", seq_len)
    dev = _chunks(judge, corpus / "dev.parquet", seq_len)
    dev_mask = _mask(dev.words, mask_share, np.random.default_rng([seed, 0]))
    before = evaluate(judge, dev.pieces, dev_mask)
    if steps:
        rates = [lr * schedule(step, warmup_steps, steps) for step in range(1, steps + 1)]
        _train(judge, train, Recipe(rates, batch_size, mask_share, weight_decay, seed))
    after = evaluate(judge, dev.pieces, dev_mask)
    frequency_loss = round(_frequency_loss(train.pieces, dev.pieces[dev_mask], judge), 6)
    if not after["dev_loss"] <= accept_loss:
        raise InputError(
            f"finetune_judge: dev loss {after['dev_loss']:.3f} nats a masked piece after {steps} "
            f"steps; a judge needs at most accept_loss {accept_loss:g} (the pieces' frequencies "
            f"alone give {frequency_loss:.3f}); train for more steps"
        )
    with whole(out) as folder:
        save_model(judge.model, source, folder)
    return {
        "steps": steps,
        "dev_pieces": int(dev_mask.sum()),
        "frequency_loss": frequency_loss,
        **{f"{name}_before": round(value, 6) for name, value in before.items()},
        **{name: round(value, 6) for name, value in after.items()},
    }


@torch.inference_mode()
def evaluate(judge: MaskedLM, chunks: np.ndarray, is_masked: np.ndarray) -> dict[str, float]:
    """Mean cross-entropy in nats, and accuracy, of the masked pieces of `chunks` (n, T)."""
    total, right = 0.0, 0
    for start in range(0, len(chunks), EVAL_CHUNKS):
        ids = torch.from_numpy(chunks[start : start + EVAL_CHUNKS])
        is_asked = torch.from_numpy(is_masked[start : start + EVAL_CHUNKS])
        logits = judge.logits(ids.masked_fill(is_asked, judge.mask_id), is_asked)
        total += F.cross_entropy(logits, ids[is_asked], reduction="sum").item()
        right += int((logits.argmax(-1) == ids[is_asked]).sum())
    n_masked = int(is_masked.sum())
    return {"dev_loss": total / n_masked, "dev_accuracy": right / n_masked}


class MaskedPiece(NamedTuple):
    """A text with one piece to be asked for."""

    ids: list[int]  # with masks in the places of the piece and of its word's later pieces
    position: int  # of the piece in `ids`
    piece: int  # its id
    place: int  # the number of the place that its word belongs to


@torch.inference_mode()
def pseudo_logprobs(
    judge: MaskedLM, places: list[tuple[str, str, str]], *, window: int, batch_size: int
) -> list[float]:
    """The pseudo-log-likelihood in nats of each word in its place.

    A place is the text before, the word and the text behind it. The judge sees at most `window`
    pieces: longer text loses its beginning. A word that the tokenizer gives no piece has -inf.

    Raises InputError for a word that has more pieces than the window.
    """
    asked: list[MaskedPiece] = []
    for number, place in enumerate(places):
        asked += _masked_pieces(judge, place, number, window)
    totals = [0.0] * len(places)
    with_pieces = {one.place for one in asked}
    asked.sort(key=lambda one: (len(one.ids), one.place, one.position))
    with Progress(len(asked), "pseudo-log-likelihoods", "piece") as progress:
        for start in range(0, len(asked), batch_size):
            batch = asked[start : start + batch_size]
            ids, is_text = padded([one.ids for one in batch])
            is_asked = torch.zeros_like(ids, dtype=torch.bool)
            is_asked[torch.arange(len(batch)), torch.tensor([one.position for one in batch])] = True
            logprobs = F.log_softmax(judge.logits(ids, is_asked, is_text).float(), -1)
            for logprob, one in zip(logprobs, batch, strict=True):
                totals[one.place] += logprob[one.piece].item()
            progress.advance(len(batch))
    return [total if number in with_pieces else -math.inf for number, total in enumerate(totals)]


def _masked_pieces(
    judge: MaskedLM, place: tuple[str, str, str], number: int, window: int
) -> list[MaskedPiece]:
    """One text for each piece of the word in a place, whose number is `number`.

    Raises InputError for a word that has more pieces than the window.
    """
    left, word, right = place
    encoding = judge.tokenizer.encode(left + word + right, add_special_tokens=False)
    start, end = len(left) + len(word) - len(word.lstrip()), len(left) + len(word.rstrip())
    of_word = []  # places of the word's pieces in the encoding
    for at, (piece_start, piece_end) in enumerate(encoding.offsets):
        if piece_start < end and piece_end > start:
            of_word.append(at)
    n_cut = max(0, len(encoding.ids) + len(judge.before) + len(judge.after) - window)
    ids = judge.before + encoding.ids[n_cut:] + judge.after
    shift = len(judge.before) - n_cut
    if of_word and of_word[0] < n_cut:
        raise InputError(
            f"{judge.path}: the word '{word.strip()}' has more pieces than the window of {window}; "
            "expected a larger window in judge_context"
        )
    pieces = []
    for n_before, at in enumerate(of_word):
        masked = list(ids)
        for later in of_word[n_before:]:
            masked[later + shift] = judge.mask_id
        pieces.append(MaskedPiece(masked, at + shift, encoding.ids[at], number))
    return pieces


def padded(texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (B, T), padded on the right, and the attention mask."""
    longest = max(map(len, texts))
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    return ids, torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts])


@contextmanager
def _asked_only(head: torch.nn.Module, rows: torch.Tensor) -> Iterator[None]:
    """Let the head compute the logits of these rows only.

    Those of all rows would take most of the time and hundreds of megabytes.
    """

    def select(_: torch.nn.Module, inputs: tuple) -> tuple[torch.Tensor]:
        return (inputs[0].flatten(0, -2).index_select(0, rows),)

    hook = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()


def _train(judge: MaskedLM, chunks: Chunks, recipe: Recipe) -> None:
    """Take one step of AdamW for each of the recipe's learning rates.

    The order of the chunks is drawn anew when all have been seen.
    """
    parameters = list(judge.model.parameters())
    optimizer = _optimizer(parameters, recipe.weight_decay)
    order = _order(len(chunks.pieces), recipe)
    with Progress(len(recipe.rates), "finetune_judge", "step") as progress:
        for step, rate in enumerate(recipe.rates):
            rows = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            random = np.random.default_rng([recipe.seed, 2, step])
            is_asked = torch.from_numpy(_mask(chunks.words[rows], recipe.mask_share, random))
            ids = torch.from_numpy(chunks.pieces[rows])
            logits = judge.logits(ids.masked_fill(is_asked, judge.mask_id), is_asked)
            F.cross_entropy(logits, ids[is_asked]).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            progress.advance()


def _optimizer(parameters: list[torch.nn.Parameter], weight_decay: float) -> torch.optim.Optimizer:
    """AdamW in which matrices decay and vectors (norms, biases) do not."""
    groups: list[dict] = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim > 1],
            "weight_decay": weight_decay,
        },
        {
            "params": [parameter for parameter in parameters if parameter.ndim < 2],
            "weight_decay": 0.0,
        },
    ]
    return torch.optim.AdamW(groups, fused=True)


def _order(n_chunks: int, recipe: Recipe) -> np.ndarray:
    """The chunks' row numbers in the order of training, for at least all steps."""
    n_epochs = len(recipe.rates) * recipe.batch_size // n_chunks + 1
    epochs = []
    for epoch in range(n_epochs):
        epochs.append(np.random.default_rng([recipe.seed, 1, epoch]).permutation(n_chunks))
    return np.concatenate(epochs)


def _chunks(judge: MaskedLM, path: Path, seq_len: int) -> Chunks:
    """The documents' pieces in chunks; what is left at the end is dropped.

    Raises InputError for fewer pieces than one chunk takes.
    """
    texts = [row["text"] for row in read_documents(path)]
    encodings = judge.tokenizer.encode_batch(texts, add_special_tokens=False)
    length = seq_len - len(judge.before) - len(judge.after)
    n = sum(map(len, encodings)) // length
    if not n:
        raise InputError(f"finetune_judge: {path} has fewer pieces than one chunk of {seq_len}")

    def chunked(sequences: list) -> np.ndarray:
        stream = np.concatenate([np.array(sequence, np.int64) for sequence in sequences])
        return stream[: n * length].reshape(n, length)

    pieces = chunked([encoding.ids for encoding in encodings])
    words = chunked([encoding.word_ids for encoding in encodings])
    before = np.tile(np.array(judge.before, np.int64), (n, 1))
    after = np.tile(np.array(judge.after, np.int64), (n, 1))
    return Chunks(
        pieces=np.concatenate([before, pieces, after], 1),
        words=np.concatenate([np.full_like(before, -1), words, np.full_like(after, -1)], 1),
    )


def _mask(words: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Which pieces (n, T) are masked, given their word numbers (n, T).

    Each word is masked whole, with the probability `share`. At least one piece is masked.
    """
    starts = np.ones(words.shape, bool)
    starts[:, 1:] = words[:, 1:] != words[:, :-1]
    number = starts.ravel().cumsum() - 1
    chosen = (random.random(number[-1] + 1) < share)[number].reshape(words.shape) & (words >= 0)
    if not chosen.any():
        chosen[np.unravel_index(np.argmax(words >= 0), words.shape)] = True
    return chosen


def _frequency_loss(train: np.ndarray, asked: np.ndarray, judge: MaskedLM) -> float:
    """The loss, in nats a piece, of the train pieces' frequencies, with one added to each count.

    This is what a model knows that reads no context.
    """
    counts = np.bincount(train.ravel(), minlength=judge.model.config.vocab_size).astype(float)
    counts[judge.before + judge.after] = 0
    return float(-np.log((counts + 1) / (counts + 1).sum())[asked].mean())
