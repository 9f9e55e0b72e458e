"""Which errors become one line, and that mistakes of ours do not."""

import errno
import json
import sqlite3
import subprocess

import pytest
import torch
import yaml
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError
from tokenizers import Tokenizer

from lmcore.errors import InputError, error_line


def raised(function, *arguments) -> BaseException:
    try:
        function(*arguments)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("a.csv: row 3\n  is odd\x1b[31m"), "a.csv: row 3 is odd\\x1b[31m"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a\x1b.txt"),
            "a\\x1b.txt: No such file or directory",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "a.txt"), "a.txt: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("a folder that nobody has"), "a folder that nobody has"),
        (raised(json.loads, "{"), "not JSON: Expecting property name"),
        (raised(b"\xff".decode), "not text in UTF-8: 'utf-8' codec can't decode byte 0xff"),
        (
            raised("\udcff".encode),
            "not text in UTF-8: 'utf-8' codec can't encode character '\\udcff'",
        ),
        (raised(yaml.safe_load, "a: [1"), "while parsing a flow sequence"),
        (MemoryError(), "not enough memory"),
        (
            sqlite3.OperationalError("disk I/O error"),
            "DVC's database (.dvc/tmp, or the folder core.site_cache_dir): disk I/O error; free",
        ),
        (raised(torch.empty, 2**58), "not enough memory"),
        (SafetensorError("header too large"), "header too large"),
        (raised(Tokenizer.from_str, "{}"), "Model missing"),
        (HFValidationError("Repo id must be short"), "Repo id must be short"),
        (HfHubHTTPError.__new__(HfHubHTTPError), "HfHubHTTPError"),
    ],
)
def test_expected_error_is_one_line_that_names_what_it_can(error, line):
    found = error_line(error)
    assert found is not None and found.startswith(line) and len(found.splitlines()) == 1


def test_failed_git_says_what_git_said(tmp_path):
    command = ["git", "-C", str(tmp_path), "rev-parse", "HEAD"]
    line = error_line(
        raised(lambda: subprocess.run(command, check=True, capture_output=True, text=True))
    )
    assert line.startswith(f"git -C {tmp_path} rev-parse HEAD: fatal: not a git repository")
    assert error_line(subprocess.CalledProcessError(3, "x y")) == "x y: exit status 3"


@pytest.mark.parametrize(
    "mistake",
    [
        ValueError("x"),
        KeyError("x"),
        TypeError("x"),
        RuntimeError("x"),
        AssertionError(),
        IndexError(),
    ],
)
def test_mistake_of_ours_is_no_line(mistake):
    assert error_line(mistake) is None
