"""Stage: write a BabyLM entry, its files, their validation, and the local leaderboard."""

from pathlib import Path

from lmcore.babylm.export import export_babylm
from lmcore.babylm.tree import Project
from lmcore.comparing.settings import Settings
from lmcore.params.ranges import Digits, Entries
from lmcore.suites.declare import Suites
from stages.stage import call, clear_leftovers, params, run, section


def main(name: str) -> None:
    clear_leftovers("data/classified", "data/models", "data/tokens", "metrics/acquisition")
    comparing = section("compare_models", dict)
    call(
        export_babylm,
        f"export_babylm.{name}",
        project=Project(Path("data"), section("suites", Suites)),
        kept=section("keep_checkpoint", Entries),
        settings=Settings(**{key: comparing[key] for key in Settings._fields}),
        digits=section("aggregate.digits", Digits),
        glue_items=_glue_items(),
        acquisitions=Path("metrics/acquisition"),
        out=Path("data/babylm") / name,
        metrics=Path("metrics/babylm") / f"{name}.json",
    )


def _glue_items() -> dict[str, int]:
    """{GLUE task: the number of examples that params.yaml declares its own data to have}."""
    by_task = (params().get("finetune_classifier") or {}).get("by_task") or {}
    return {task: entry["items"] for task, entry in by_task.items() if "items" in (entry or {})}


if __name__ == "__main__":
    run(main)
