"""What holds for the whole command: its version, its exit statuses, and errors in one line."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmcore.commands import validate
from lmcore.commands.main import app
from lmcore.generating import sampling

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}


def run(*arguments: str, **options):
    return CliRunner().invoke(app, list(arguments), **options)


def test_version_is_the_packages():
    result = run("--version")
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        f"lmcore {version('lmcore')}\n",
        "",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'."),
        (["--nonsense"], "No such option: --nonsense"),
        (["next"], "Missing argument 'model'."),
        (["next", "a", "b", "c"], "Got unexpected extra argument"),
        (["next", "a", "-k", "1.5"], "Invalid value for '-k'"),
        (["compare", "a", "--texts", "b"], "Missing option '--out'."),
        (["diff", "--items", "-1"], "Invalid value for '--items'"),
    ],
)
def test_options_that_a_command_does_not_take_are_one_line_and_2(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2 and result.stdout == "" and result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["diff", "--margin", "nan"], "--margin: must be a number of at least 0, not nan"),
        (["diff", "--margin", "-1"], "--margin: must be a number of at least 0, not -1.0"),
        (["diff", "--fail-on", "better"], "--fail-on: there is no verdict 'better'"),
        (["next", "a", "b"], "a: no such model"),
        (["surprisal", "a", "."], ".: is a folder"),
        (["surprisal", "a", ""], ".: is a folder"),
    ],
)
def test_values_out_of_range_are_one_line_and_1(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 1 and result.stdout == "" and result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"error: {message}")


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1])
def test_seed_of_more_than_64_bits_is_refused(seed):
    from lmcore.errors import InputError
    from lmcore.generating.continuations import _decodings

    with pytest.raises(InputError, match="a seed must be a whole number of 64 bits"):
        _decodings({"sampled": {"temperature": 1.0, "seeds": [seed]}})
    assert (
        sampling.random_numbers(2**63 - 1, "a").random()
        != sampling.random_numbers(-(2**63), "a").random()
    )


def fail(error: BaseException):
    def function(*arguments):
        raise error

    return function


@pytest.fixture
def suite(tmp_path):
    from lmcore.tables import ITEMS, items_table, write

    row = {
        "item": "a",
        "option": 0,
        "variant": "",
        "group": "g",
        "context": "",
        "target": "a",
        "gold": True,
    }
    write(items_table([row], {}), ITEMS, tmp_path / "items" / "s.parquet")
    return ["validate", "s", "--data", str(tmp_path)]


def test_interrupt_is_one_line_and_130(suite, monkeypatch):
    monkeypatch.setattr(validate, "validate", fail(KeyboardInterrupt()))
    result = run(*suite)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "error: interrupted\n")


def test_mistake_of_ours_shows_where_it_was_made(suite, monkeypatch):
    monkeypatch.setattr(validate, "validate", fail(ZeroDivisionError("ours")))
    assert isinstance(run(*suite).exception, ZeroDivisionError)


def test_reader_that_has_seen_enough_is_no_error(suite, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "from lmcore.commands import validate\n"
        "from lmcore.commands.main import app\n"
        "validate.validate = lambda *a: 10**6 * 'page'\n"
        "app()\n"
    )
    command = f"{sys.executable} {script} {' '.join(suite)} | head -c 9; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=ENVIRONMENT, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"s: pagepa", b"")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_full_disk_behind_the_standard_output_is_one_line():
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m lmcore.commands.main --version > /dev/full"],
        env=ENVIRONMENT,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (
        1,
        b"error: No space left on device; free some space and run again\n",
    )


def test_output_is_utf8_whatever_the_locale():
    command = [sys.executable, "-m", "lmcore.commands.main", "next", "é\x1b漢", "a"]
    environment = ENVIRONMENT | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 1 and done.stderr.decode().startswith(
        "error: é\\x1b漢: no such model"
    )
