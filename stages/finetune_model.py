"""Stage: train a model further, on the right endings of a suite's items that are not evaluated."""

from pathlib import Path
from typing import Any, TypedDict

from lmcore.files import sha256
from lmcore.models.load import load_model
from lmcore.params.ranges import Name, OpenShare, Processes, SomeEntries
from lmcore.params.schema import check
from lmcore.suites.declare import entry_of
from lmcore.tables import ITEMS, read
from lmcore.training import ranks
from lmcore.training.finetuning import examples, training_items
from lmcore.training.outcome import Places, train_and_save
from lmcore.training.settings import Settings, settings_of
from stages.stage import recipe, run, section, work_folder, work_key

OWN = ("model", "items", "dev_share")


class Own(TypedDict):
    """The keys that are none of `Settings`."""

    model: Name
    items: dict
    dev_share: OpenShare
    world_size: Processes
    shape: Any  # not used: the model has its own
    rules: Any  # not used: items are no corpus


def main(name: str) -> None:
    values = recipe("train_model", f"finetune_model.{name}", Settings, Own, without=(*OWN, "rules"))
    values |= {"random_offset": False, "seq_len_warmup": None}  # items are no stream
    entry = {key: section(f"finetune_model.{name}.{key}", Any) for key in OWN}
    check(entry["items"], entry_of(name), f"params.yaml: finetune_model.{name}.items")
    ranks.launch(values["world_size"], "stages.finetune_model", name)
    folder = Path("data/models") / entry["model"]
    table = read(Path("data/training_items") / f"{name}.parquet", ITEMS)
    suites = section("suites", SomeEntries)
    evaluated = {suite: read(Path("data/items") / f"{suite}.parquet", ITEMS) for suite in suites}
    items = training_items(name, entry["items"], table, evaluated)
    inputs = [entry, sha256(folder), items["content_hash"].to_pylist()]
    key = work_key("finetune_model", values, *inputs)
    splits = examples(folder, items, entry["dev_share"], values["seed"])
    train_and_save(
        name,
        load_model(folder),
        folder,
        splits,
        settings_of(values),
        Places(
            work=work_folder() / "training" / key,
            model=Path("data/models") / name,
            plots=Path("metrics/plots/train"),
            metrics=Path("metrics/train"),
        ),
    )


if __name__ == "__main__":
    run(main)
