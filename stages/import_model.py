"""Stage: import a pretrained model from a pinned source as a model folder like any other."""

from pathlib import Path

from lmcore.models.imported import import_model
from stages.stage import call, run, work_folder


def main(name: str) -> None:
    call(
        import_model,
        f"import_model.{name}",
        name=name,
        out=Path("data/models") / name,
        downloads=work_folder() / "downloads",
    )


if __name__ == "__main__":
    run(main)
