"""Stage: turn every suite of params.yaml into a table of items, to score or to fine-tune on."""

from pathlib import Path

from lmcore.params.ranges import Entries
from lmcore.params.schema import check
from lmcore.suites.build import BuildableSuites, build_items, options_of
from lmcore.suites.declare import entry_of
from stages.stage import run, section

SOURCES, CORPUS = Path("data/sources"), Path("data/corpus")


def main() -> None:
    build_items(section("suites", BuildableSuites), SOURCES, CORPUS, Path("data/items"))
    build_items(to_train_on(), SOURCES, CORPUS, Path("data/training_items"))


def to_train_on() -> dict[str, dict]:
    """The whole suites that models are fine-tuned on; stage finetune_model chooses the items."""
    suites = {}
    for name in section("finetune_model", Entries):
        entry = section(f"finetune_model.{name}.items", dict)
        check(entry, entry_of(name, options_of), f"params.yaml: finetune_model.{name}.items")
        suites[name] = {key: value for key, value in entry.items() if key not in ("limit", "seed")}
    return suites


if __name__ == "__main__":
    run(main)
