"""Stage: write to code.json which code each stage runs.

A change of code then reruns the stages that it concerns, and no others.
"""

from pathlib import Path

from lmcore.files import write_json
from lmcore.history.fingerprint import fingerprints
from stages.stage import params, run


def main() -> None:
    params()  # a name that DVC would confuse must fail before anything runs
    write_json(fingerprints(Path()), Path("code.json"))


if __name__ == "__main__":
    run(main)
