"""What every training begins with and leaves: chunks become examples; weights, curve and a small JSON of where it ended are written."""

from pathlib import Path

from transformers import PreTrainedModel

from lmcore.files import whole, write_csv, write_json
from lmcore.models.llama import save_model
from lmcore.text.chunks import read_chunks
from lmcore.training import ranks
from lmcore.training.checkpoints import best_step, load_weights
from lmcore.training.loop import Examples


def chunk_examples(chunks: Path) -> dict[str, Examples]:
    """`training` and `dev`, as lmcore.training.loop.train takes them, of the folder that stage chunk_corpus wrote."""
    return {
        "training": Examples(read_chunks(chunks / "train")),
        "dev": Examples(read_chunks(chunks / "dev")),
    }


def save_trained(
    name: str,
    model: PreTrainedModel,
    tokenizer: Path,
    curve: list[dict],
    out: Path,
    plots: Path,
    metrics: Path,
) -> None:
    """Write the model folder `out`, the rows of its curve to `plots`/NAME.csv, and to `metrics`/NAME.json the number of parameters and of
    steps, and the lowest dev loss (nats per token) with its step. Of several ranks the first writes.
    """
    if not ranks.is_first():
        return
    with whole(out) as folder:
        save_model(model, tokenizer, folder)
    lines = [{key: round(value, 6) for key, value in row.items()} for row in curve]
    write_csv(lines, plots / f"{name}.csv")
    best = best_step(curve)
    dev_loss = next(row["dev_loss"] for row in curve if row["step"] == best)
    values = {
        "best_step": best,
        "dev_loss": round(dev_loss, 6),
        "parameters": model.num_parameters(),
    }
    write_json({**values, "steps": curve[-1]["step"]}, metrics / f"{name}.json")


def save_steps(
    model: PreTrainedModel, tokenizer: Path, work: Path, steps: list[int], out: Path
) -> None:
    """Write the weights that the training in `work` kept of `steps` as model folders `out`/step_NNNNNN; `model` ends as the last."""
    if not ranks.is_first():
        return
    with whole(out) as folder:
        folder.mkdir()
        for step in steps:
            load_weights(model, work, step)
            save_model(model, tokenizer, folder / f"step_{step:06d}")
