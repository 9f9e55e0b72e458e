"""Masked language models (BERT): fine-tuned on the corpus until they are one, and asked how probable a word is in its place.

- Fine-tuning masks whole words, each with the same probability and every piece of it by the mask token; dropout stays off, for few steps
  over text that is seen once have nothing to overfit. What is masked depends on the seed and the step alone.
- The pseudo-log-likelihood of a word is the sum over its pieces of their log-prob where the piece and the word's later pieces are masked:
  with these in sight, a rare word of several pieces would look probable.

Source: Salazar et al. 2020, https://aclanthology.org/2020.acl-main.240; Kauf & Ivanova 2023, https://aclanthology.org/2023.acl-short.80
(PLL-word-l2r); Wettig et al. 2023, https://aclanthology.org/2023.eacl-main.217 (masks alone, no random or kept pieces).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from lmcore.corpus.documents import read_documents
from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.machine.memory import keep_freed_memory
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
    """The masked LM of a folder with config.json, safetensors and a fast tokenizer that has a mask token."""

    def __init__(self, path: Path):
        """Raises InputError for a folder that is no masked LM."""
        from transformers import AutoModelForMaskedLM
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        read_any_config(path)
        self.path, tokenizer = path, load_tokenizer(path)
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
        """Logits (N, V) at the positions where `is_asked` (B, T) holds, row by row; `is_text` (B, T) is the attention mask."""
        with _asked_only(self.head, is_asked.flatten().nonzero()[:, 0]):
            return self.model(
                input_ids=ids, attention_mask=torch.ones_like(ids) if is_text is None else is_text
            ).logits


def check_warmup(*, steps: int, warmup_steps: int, **others) -> None:
    """Raises InputError where the learning rate would never reach its peak."""
    if steps and warmup_steps > steps:
        raise InputError(f"warmup_steps {warmup_steps} are more than the {steps} steps of all")


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
    """Write the masked LM of the folder `source`, trained for `steps` on the corpus' train split, to the folder `out`; return what the dev
    split says of it before and after: nats and accuracy per masked piece, and the loss of the pieces' frequencies alone.

    `batch_size` counts chunks of `seq_len` pieces; steps: 0 takes a published model as it stands. Raises InputError where the loss
    stays above `accept_loss`: such a model is no judge.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()
    judge = MaskedLM(source)
    chunks = {
        split: _chunks(judge, corpus / f"{split}.parquet", seq_len) for split in ("train", "dev")
    }
    dev_mask = _mask(chunks["dev"][1], mask_share, np.random.default_rng([seed, 0]))
    before = evaluate(judge, chunks["dev"][0], dev_mask)
    if steps:
        rates = [lr * schedule(step, warmup_steps, steps) for step in range(1, steps + 1)]
        _train(judge, *chunks["train"], rates, batch_size, mask_share, weight_decay, seed)
    after = evaluate(judge, chunks["dev"][0], dev_mask)
    counts = {
        "steps": steps,
        "dev_pieces": int(dev_mask.sum()),
        "frequency_loss": round(
            _frequency_loss(chunks["train"][0], chunks["dev"][0][dev_mask], judge), 6
        ),
        **{f"{name}_before": round(value, 6) for name, value in before.items()},
        **{name: round(value, 6) for name, value in after.items()},
    }
    if not after["dev_loss"] <= accept_loss:
        raise InputError(
            f"finetune_judge: dev loss {after['dev_loss']:.3f} nats a masked piece after {steps} steps; a judge needs accept_loss "
            f"{accept_loss:g} (the pieces' frequencies alone give {counts['frequency_loss']:.3f}); train for more steps"
        )
    with whole(out) as folder:
        save_model(judge.model, source, folder)
    return counts


@torch.inference_mode()
def evaluate(judge: MaskedLM, chunks: np.ndarray, is_masked: np.ndarray) -> dict[str, float]:
    """Mean cross-entropy in nats, and accuracy, of the masked pieces of `chunks` (n, T)."""
    total, right = 0.0, 0
    for start in range(0, len(chunks), EVAL_CHUNKS):
        ids, asked = (
            torch.from_numpy(part[start : start + EVAL_CHUNKS]) for part in (chunks, is_masked)
        )
        logits = judge.logits(ids.masked_fill(asked, judge.mask_id), asked)
        total += F.cross_entropy(logits, ids[asked], reduction="sum").item()
        right += int((logits.argmax(-1) == ids[asked]).sum())
    return {"dev_loss": total / int(is_masked.sum()), "dev_accuracy": right / int(is_masked.sum())}


@torch.inference_mode()
def pseudo_logprobs(
    judge: MaskedLM, places: list[tuple[str, str, str]], *, window: int, batch_size: int
) -> list[float]:
    """The pseudo-log-likelihood in nats of each word in its place; a place is the text before, the word and the text behind it.

    The judge sees at most `window` pieces: longer text loses its beginning. A word that the tokenizer gives no piece has -inf.
    """
    rows: list[
        tuple[list[int], int, int, int]
    ] = []  # ids, where the asked piece is, its id, the place
    for number, (left, word, right) in enumerate(places):
        encoding = judge.tokenizer.encode(left + word + right, add_special_tokens=False)
        start, end = len(left) + len(word) - len(word.lstrip()), len(left) + len(word.rstrip())
        of_word = [
            n for n, (low, high) in enumerate(encoding.offsets) if low < end and high > start
        ]
        n_cut = max(0, len(encoding.ids) + len(judge.before) + len(judge.after) - window)
        ids = judge.before + encoding.ids[n_cut:] + judge.after
        shift = len(judge.before) - n_cut
        if of_word and of_word[0] < n_cut:
            raise InputError(
                f"{judge.path}: the word '{word.strip()}' has more than {window} pieces; a larger window is needed"
            )
        for n in of_word:
            masked = list(ids)
            for later in of_word[of_word.index(n) :]:
                masked[later + shift] = judge.mask_id
            rows.append((masked, n + shift, encoding.ids[n], number))
    totals = [0.0] * len(places)
    known = {number for _, _, _, number in rows}
    rows.sort(key=lambda row: (len(row[0]), row[3], row[1]))
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        ids, is_text = padded([row[0] for row in batch])
        asked = torch.zeros_like(ids, dtype=torch.bool)
        asked[torch.arange(len(batch)), torch.tensor([row[1] for row in batch])] = True
        logprobs = F.log_softmax(judge.logits(ids, asked, is_text).float(), -1)
        for logprob, (_, _, piece, number) in zip(logprobs, batch, strict=True):
            totals[number] += logprob[piece].item()
    return [total if number in known else -math.inf for number, total in enumerate(totals)]


def padded(texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (B, T), padded on the right, and the attention mask."""
    longest = max(map(len, texts))
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    return ids, torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts])


@contextmanager
def _asked_only(head: torch.nn.Module, rows: torch.Tensor) -> Iterator[None]:
    """The head computes logits of these rows only: of all, they would be most of the time and hundreds of megabytes."""
    hook = head.register_forward_pre_hook(
        lambda _, inputs: (inputs[0].flatten(0, -2).index_select(0, rows),)
    )
    try:
        yield
    finally:
        hook.remove()


def _train(
    judge: MaskedLM,
    chunks: np.ndarray,
    words: np.ndarray,
    rates: list[float],
    batch_size: int,
    mask_share: float,
    weight_decay: float,
    seed: int,
) -> None:
    """One step of AdamW for each learning rate in `rates`, over the chunks in an order drawn anew when all have been seen."""
    parameters = list(judge.model.parameters())
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
    optimizer = torch.optim.AdamW(groups, fused=True)
    n_epochs = len(rates) * batch_size // len(chunks) + 1
    order = np.concatenate(
        [
            np.random.default_rng([seed, 1, epoch]).permutation(len(chunks))
            for epoch in range(n_epochs)
        ]
    )
    for step, rate in enumerate(tqdm(rates, desc="finetune_judge", unit="step", disable=None)):
        rows = order[step * batch_size : (step + 1) * batch_size]
        asked = torch.from_numpy(
            _mask(words[rows], mask_share, np.random.default_rng([seed, 2, step]))
        )
        ids = torch.from_numpy(chunks[rows])
        loss = F.cross_entropy(
            judge.logits(ids.masked_fill(asked, judge.mask_id), asked), ids[asked]
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _chunks(judge: MaskedLM, path: Path, seq_len: int) -> tuple[np.ndarray, np.ndarray]:
    """The documents' pieces in chunks (n, seq_len) int64 between the model's specials, and the number (n, seq_len) of each piece's word in
    its document, -1 for specials; the tail is dropped.
    """
    encodings = judge.tokenizer.encode_batch(
        [row["text"] for row in read_documents(path)], add_special_tokens=False
    )
    length = seq_len - len(judge.before) - len(judge.after)
    if not (n := sum(map(len, encodings)) // length):
        raise InputError(f"finetune_judge: {path} has fewer pieces than one chunk of {seq_len}")
    pieces, words = (
        np.concatenate([np.array(getattr(encoding, name), np.int64) for encoding in encodings])[
            : n * length
        ].reshape(n, length)
        for name in ("ids", "word_ids")
    )
    sides = [np.tile(np.array(side, np.int64), (n, 1)) for side in (judge.before, judge.after)]
    return np.concatenate([sides[0], pieces, sides[1]], 1), np.concatenate(
        [sides[0] * 0 - 1, words, sides[1] * 0 - 1], 1
    )


def _mask(words: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Which pieces (n, T) are masked: each word whole, with the probability `share`; at least one piece."""
    starts = np.ones(words.shape, bool)
    starts[:, 1:] = words[:, 1:] != words[:, :-1]
    number = starts.ravel().cumsum() - 1
    chosen = (random.random(number[-1] + 1) < share)[number].reshape(words.shape) & (words >= 0)
    if not chosen.any():
        chosen[np.unravel_index(np.argmax(words >= 0), words.shape)] = True
    return chosen


def _frequency_loss(train: np.ndarray, asked: np.ndarray, judge: MaskedLM) -> float:
    """Nats a piece of the train pieces' frequencies, one added to each count: what a model that reads nothing knows."""
    counts = np.bincount(train.ravel(), minlength=judge.model.config.vocab_size).astype(float)
    counts[judge.before + judge.after] = 0
    return float(-np.log((counts + 1) / (counts + 1).sum())[asked].mean())
