"""Stage: train a model further, on the right endings of a suite's items that are not evaluated."""

from pathlib import Path
from typing import Any, TypedDict

from lmcore.files import digest, sha256
from lmcore.models.load import load_model
from lmcore.params.ranges import Name, OpenShare, Processes, SomeEntries
from lmcore.params.schema import check
from lmcore.suites.declare import entry_of
from lmcore.tables import ITEMS, read
from lmcore.training import ranks
from lmcore.training.finetuning import examples, training_items
from lmcore.training.loop import train
from lmcore.training.outcome import save_trained
from stages.stage import call, fingerprint, recipe, run, section, work_folder

OWN = ("model", "items", "dev_share")


class Own(TypedDict):
    """The keys that are none of `train`'s."""

    model: Name
    items: dict
    dev_share: OpenShare
    world_size: Processes
    shape: Any  # the model's own holds


def main(name: str) -> None:
    values = recipe("train_model", f"finetune_model.{name}", train, Own, without=OWN) | {
        "random_offset": False
    }  # items are no stream
    entry = {key: section(f"finetune_model.{name}.{key}", Any) for key in OWN}
    check(entry["items"], entry_of(name), f"params.yaml: finetune_model.{name}.items")
    ranks.launch(values["world_size"], "stages.finetune_model", name)
    folder = Path("data/models") / entry["model"]
    table = read(Path("data/training_items") / f"{name}.parquet", ITEMS)
    suites = section("suites", SomeEntries)
    evaluated = {suite: read(Path("data/items") / f"{suite}.parquet", ITEMS) for suite in suites}
    items = training_items(name, entry["items"], table, evaluated)
    key = digest(
        values,
        entry,
        sha256(folder),
        items["content_hash"].to_pylist(),
        fingerprint("finetune_model"),
        fingerprint("versions"),
    )
    training, dev = examples(folder, items, entry["dev_share"], values["seed"])
    model = load_model(folder)
    work = work_folder() / "training" / key
    arguments = {"model": model, "training": training, "dev": dev, "work": work}
    with ranks.alone(work):
        curve = call(
            train,
            f"train_model, finetune_model.{name}",
            values,
            without=("shape", "world_size"),
            **arguments,
        )
        save_trained(
            name,
            model,
            folder,
            curve,
            Path("data/models") / name,
            Path("metrics/plots/train"),
            Path("metrics/train"),
        )


if __name__ == "__main__":
    run(main)
