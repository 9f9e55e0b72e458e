"""Sentence embeddings: texts go in, vectors of length 1 come out.

An encoder (BERT and its kin) makes them; its token vectors are pooled. A text longer than the
window loses its beginning: what is asked here stands at the end.
"""

from pathlib import Path

import torch

from lmcore.errors import InputError
from lmcore.judging.masked_lm import padded
from lmcore.models.folder import read_any_config
from lmcore.models.load import load_tokenizer

POOLINGS = ("mean", "first")


class SentenceEncoder:
    """The encoder of a folder with config.json, safetensors and a fast tokenizer.

    `pooling` is the encoder's own: `mean` over all tokens, or the `first` ([CLS]). `window` counts
    tokens.
    """

    def __init__(self, path: Path, pooling: str, window: int):
        """Raises InputError for a folder that is no encoder, or an unknown pooling."""
        from transformers import AutoModel
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        if pooling not in POOLINGS:
            raise InputError(f"pooling must be one of {', '.join(POOLINGS)}, not {pooling!r}")
        read_any_config(path)
        self.model = AutoModel.from_pretrained(
            path,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        ).eval()
        self.pooling, self.window = pooling, window
        self.tokenizer = load_tokenizer(path).backend_tokenizer
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        empty = self.tokenizer.encode("").ids  # [CLS] [SEP], or as the model has them
        self.before, self.after = empty[:1], empty[1:]

    @torch.inference_mode()
    def embed(self, texts: list[str], batch_size: int) -> torch.Tensor:
        """Vectors (N, hidden) of length 1; texts of similar length share a batch."""
        ids = self._encode(texts)
        order = sorted(range(len(ids)), key=lambda row: (len(ids[row]), row))
        vectors = torch.empty(len(ids), self.model.config.hidden_size)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            inputs, mask = padded([ids[row] for row in rows])
            hidden = self.model(input_ids=inputs, attention_mask=mask).last_hidden_state
            vectors[rows] = torch.nn.functional.normalize(self._pool(hidden, mask), dim=-1)
        return vectors

    def _encode(self, texts: list[str]) -> list[list[int]]:
        """The ids of each text between the special tokens, without its beginning if it is long."""
        longest = self.window - len(self.before) - len(self.after)
        ids = []
        for encoding in self.tokenizer.encode_batch(texts, add_special_tokens=False):
            n_cut = max(0, len(encoding.ids) - longest)
            ids.append(self.before + encoding.ids[n_cut:] + self.after)
        return ids

    def _pool(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """One vector (B, hidden) for each text from its tokens' (B, T, hidden)."""
        if self.pooling == "first":
            return hidden[:, 0]
        weights = mask[..., None].float()
        return (hidden * weights).sum(1) / weights.sum(1)


def word_cosines(
    encoder: SentenceEncoder, pairs: list[tuple[str, str]], batch_size: int
) -> list[float]:
    """The cosine between each context with its word and without; 1 where the word is empty."""
    texts: dict[str, None] = {}  # each text once, in order
    for context, word in pairs:
        texts |= {context.strip(): None, (context + word).strip(): None}
    embedded = encoder.embed(list(texts), batch_size).double()
    vectors = dict(zip(texts, embedded, strict=True))
    return [
        float(vectors[context.strip()] @ vectors[(context + word).strip()])
        for context, word in pairs
    ]
