"""Stage: fine-tune a classifier on a GLUE task, and predict the task's valid split."""

from dataclasses import asdict
from pathlib import Path

from lmcore.classifying.outcome import classify
from lmcore.classifying.settings import Own, Section, Settings, settings_of
from lmcore.classifying.tasks import TaskName
from lmcore.files import sha256
from lmcore.params.ranges import Digits, OpenShare
from lmcore.params.schema import check
from stages.stage import recipe, run, section, work_folder, work_key

NAME = "finetune_classifier"


def main(model: str, task: str) -> None:
    section(NAME, Section)
    check(task, TaskName, f"{NAME}: the task")
    values = recipe(f"{NAME}.recipe", f"{NAME}.by_task.{task}", Settings, Own)
    settings = settings_of(values)
    folder, data = Path("data/models") / model, Path(values["data"])

    def work_of(seed: int) -> Path:
        splits = [sha256(data / f"{task}.{split}.jsonl") for split in ("train", "valid")]
        key = work_key(NAME, asdict(settings), task, seed, sha256(folder), splits)
        return work_folder() / "classifiers" / key

    classify(
        model=folder,
        task=task,
        data=data,
        seeds=values["seeds"],
        items=values.get("items"),
        settings=settings,
        work_of=work_of,
        out=Path("data/classified") / model / task,
        metrics=Path("metrics/classified") / model / f"{task}.json",
        confidence=section("aggregate.confidence", OpenShare),
        digits=section("aggregate.digits", Digits),
    )


if __name__ == "__main__":
    run(main)
