"""Stage: read logs of other tools as scores, and compare the models in them."""

from pathlib import Path

from lmcore.comparing.logged import import_logs
from lmcore.comparing.settings import Settings
from stages.stage import call, run, section


def main(name: str) -> None:
    comparing = section("compare_models", dict)
    call(
        import_logs,
        f"import_logs.{name}",
        out=Path("data/logged") / name,
        metrics=Path("metrics/logged") / f"{name}.json",
        settings=Settings(**{key: comparing[key] for key in Settings._fields}),
        digits=comparing["digits"],
    )


if __name__ == "__main__":
    run(main)
