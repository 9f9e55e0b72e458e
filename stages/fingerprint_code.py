"""Stage: write which code each stage runs to code.json, so that a change reruns the stages it concerns and no others."""

from pathlib import Path

from lmcore.files import write_json
from lmcore.history.fingerprint import fingerprints
from stages.stage import params, run


def main() -> None:
    params()  # a name that DVC would confuse must fail before anything runs
    write_json(fingerprints(Path()), Path("code.json"))


if __name__ == "__main__":
    run(main)
