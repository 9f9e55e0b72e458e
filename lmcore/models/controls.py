"""The models that know nothing, or almost nothing: the baselines that a trained model has to beat.

`untrained` has the shape of the trained model and random weights. `dummy` gives random logits.
`unigram` gives the token frequencies of the training chunks.
"""

from pathlib import Path

import numpy as np

from lmcore.files import whole
from lmcore.models.dummy import DummyConfig, DummyForCausalLM
from lmcore.models.llama import save_model, token_ids
from lmcore.models.shapes import new_model
from lmcore.models.shapes import window as window_of
from lmcore.models.unigram import UnigramConfig, UnigramForCausalLM
from lmcore.params.ranges import Seed, Seeds
from lmcore.text.chunks import read_chunks


def make_controls(
    shape: dict,
    tokenizer: Path,
    train_chunks: Path,
    out: Path,
    *,
    untrained_seed: Seed,
    dummy_seeds: Seeds,
) -> None:
    """Write the model folders `out`/{untrained,dummy,unigram}.

    dummy_seeds: each of them is one draw of the same dummy model.
    """
    ids = token_ids(tokenizer)
    window = {"max_position_embeddings": window_of(shape)}
    counts = np.bincount(read_chunks(train_chunks).ravel(), minlength=ids["vocab_size"])
    models = {
        "untrained": new_model(shape, tokenizer, untrained_seed),
        "dummy": DummyForCausalLM(DummyConfig(seeds=dummy_seeds, **window, **ids)),
        "unigram": UnigramForCausalLM.from_counts(counts, UnigramConfig(**window, **ids)),
    }
    for name, model in models.items():
        with whole(out / name) as folder:
            save_model(model, tokenizer, folder)
