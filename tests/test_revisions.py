"""`lmcore diff`, `lmcore verify` and the CI files, in a miniature of the repository.

The diffs are between real revisions, and every command of the CI files runs.
"""

import json
import os
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from typer.testing import CliRunner

from bench.diff import run_diff, write_repository
from lmcore.commands.main import app
from lmcore.params import yaml_text
from lmcore.shown import for_markdown
from tests import miniature
from tests.miniature import run
from tests.yaml_files import read_yaml, write_yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Path:
    return miniature.make(tmp_path_factory.mktemp("miniature"))


@pytest.fixture
def ci(first, request) -> Path:
    """A clone of the branch `better`, in which one test runs the steps of a job of the CI."""
    return miniature.clone(first, f"ci_{request.node.name}", "better")


@pytest.fixture
def lmcore(monkeypatch):
    """A function that runs the command in a folder, in this process."""

    def call(folder: Path, *arguments: str):
        monkeypatch.chdir(folder)
        return CliRunner().invoke(app, arguments)

    return call


def test_diff_of_two_revisions_says_what_got_worse_and_fails_on_it(lmcore, first):
    done = lmcore(first, "diff", "main", "worse", "--fail-on", "worse")
    assert done.exit_code == 1
    assert done.stderr == ""
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("good")]
    assert row.split()[:3] == ["good", "pairs", "accuracy"]
    assert row.endswith("worse")
    assert "param  levels.good.accuracy: 0.7 → 0.55" in done.stdout
    assert "stage  fold_scores: levels.good.accuracy" in done.stdout
    assert (
        "unchanged (no item differs): untrained on pairs, heldout; good on heldout" in done.stdout
    )
    assert re.search(r"^A  main \([0-9a-f]{7}\)$", done.stdout, re.M)


def test_diff_the_other_way_is_better_and_passes(lmcore, first):
    done = lmcore(first, "diff", "worse", "v1", "--fail-on", "worse", "--json")
    (row,) = json.loads(done.stdout)["rows"]
    assert done.exit_code == 0
    assert row["verdict"] == "better"
    assert row["claim"] == "these two models differ; seed noise unknown"


def test_diff_of_head_with_an_unchanged_workspace_has_no_verdict(lmcore, first):
    done = lmcore(first, "diff")
    assert done.exit_code == 0
    assert "no param and no stage changed" in done.stdout
    assert "unchanged (no item differs): good" in done.stdout
    assert not re.search("better|worse|no evidence", done.stdout)


@pytest.fixture(scope="module")
def original(first) -> Path:
    """A clone of `worse` with its data in the workspace and the cache; no test changes it."""
    target = miniature.clone(first, "original", "worse")
    run(target, "git", "branch", "--quiet", "main", "origin/main")
    shutil.copytree(first / ".dvc" / "cache", target / ".dvc" / "cache", dirs_exist_ok=True)
    run(target, "dvc", "checkout", "--quiet")
    return target


@pytest.fixture
def own(original, tmp_path) -> Path:
    """A copy of `original` that one test may change."""
    return shutil.copytree(original, tmp_path / "own", symlinks=True)


def edit_code(folder: Path) -> None:
    script = folder / "stages" / "fold_scores.py"
    script.write_text(script.read_text().replace("0.3, 40", "0.4, 40"))


def edit_data(folder: Path) -> None:
    scores = folder / "data" / "scores"
    shutil.copy(scores / "good" / "pairs.parquet", scores / "untrained" / "pairs.parquet")


def edit_lock(folder: Path) -> None:
    (folder / "dvc.lock").write_text("schema: '2.0'\n")


# {what was edited: (how, what the diff says of it)}
STALE = {
    "params": (
        lambda folder: miniature.set_levels(folder, bits=2.5),
        "fold_scores was not rerun since levels.good.bits changed",
    ),
    "code": (edit_code, "fold_scores was not rerun since its code changed"),
    "lock": (edit_lock, "fold_scores has never run, says dvc.lock"),
}


@pytest.mark.parametrize("edit", [*STALE, "data"])
def test_diff_with_a_stale_workspace_says_what_changed_and_fails(lmcore, own, edit):
    change, message = {
        **STALE,
        "data": (edit_data, "fold_scores made another data/scores than lies there"),
    }[edit]
    assert lmcore(own, "diff", "HEAD", "--fail-on", "worse").exit_code == 0
    change(own)
    assert lmcore(own, "diff", "HEAD").exit_code == 0
    done = lmcore(own, "diff", "HEAD", "--fail-on", "worse")
    note = f"B: {message}; run `dvc repro`"
    assert done.exit_code == 1
    assert f"note   {note}\n" in done.stdout
    assert f"- {for_markdown(note)}\n" in lmcore(own, "diff", "HEAD", "--md").stdout
    assert note in json.loads(lmcore(own, "diff", "HEAD", "--json").stdout)["stale"]


@pytest.mark.parametrize("edit", ["params", "code"])
def test_diff_with_a_stale_commit_says_on_which_side(lmcore, own, edit):
    change, message = STALE[edit]
    change(own)
    miniature.commit(own, "not reproduced")
    for arguments, side in ((("HEAD", "HEAD~1"), "A"), (("HEAD~1", "HEAD"), "B")):
        done = lmcore(own, "diff", *arguments, "--fail-on", "worse")
        notes = re.findall("^note .*", done.stdout, re.M)
        assert done.exit_code == 1
        assert notes == [f"note   {side}: {message}; run `dvc repro`, commit"]


def test_diff_after_a_comment_is_not_stale(lmcore, own):
    script = own / "stages" / "fold_scores.py"
    script.write_text(script.read_text() + "# a remark\n")
    assert lmcore(own, "diff", "HEAD", "--fail-on", "worse").exit_code == 0
    miniature.commit(own, "a remark")
    assert lmcore(own, "diff", "HEAD", "HEAD~1", "--fail-on", "worse").exit_code == 0


def test_diff_of_scores_that_no_stage_makes_says_so(lmcore, own):
    (own / "dvc.yaml").write_text("stages: {}\n")
    done = lmcore(own, "diff", "HEAD", "--fail-on", "worse")
    assert done.exit_code == 1
    assert "note   B: no stage of its dvc.yaml makes data/scores" in done.stdout


def test_diff_with_a_model_or_suite_renamed_fails_though_the_rest_is_unchanged(lmcore, own):
    params = read_yaml(own / "params.yaml")
    params["models"] = ["good", "blank"]
    params["levels"]["blank"] = params["levels"].pop("untrained")
    write_yaml(params, own / "params.yaml")
    run(own, "dvc", "repro", "--quiet")
    done = lmcore(own, "diff", "HEAD", "--fail-on", "worse")
    dropped = "note   the model untrained is not in B (renamed, or dropped?): not compared"
    assert done.exit_code == 1
    assert dropped in done.stdout
    assert lmcore(own, "diff", "HEAD", "--model", "good", "--fail-on", "worse").exit_code == 0
    done = lmcore(own, "diff", "HEAD", "--model", "blank", "--fail-on", "worse")
    nothing = (
        "note   nothing was compared: A and B have no model on a suite that was asked for in common"
    )
    assert done.exit_code == 1
    assert nothing in done.stdout
    done = lmcore(own, "diff", "HEAD", "--model", "blank", "--model", "good", "--fail-on", "worse")
    assert done.exit_code == 1
    assert "note   the model blank is not in A: not compared" in done.stdout


def test_diff_in_a_shallow_clone_names_the_remedy(first, tmp_path):
    shallow = tmp_path / "shallow"
    clone = ("git", "clone", "--quiet", "--depth", "1", "--branch", "worse")
    run(tmp_path, *clone, f"file://{first.parent / 'origin'}", shallow.name)
    done = run(shallow, "lmcore", "diff", "origin/main", "--fail-on", "worse", check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "`git fetch --unshallow`" in done.stderr


def test_diff_without_bs_scores_in_the_cache_fails(lmcore, own):
    for name in ("main", "HEAD"):
        lock = yaml_text.load(run(own, "git", "show", f"{name}:dvc.lock").stdout, "dvc.lock")
        folder = lock["stages"]["fold_scores"]["outs"][0]["md5"]
        (own / ".dvc/cache/files/md5" / folder[:2] / folder[2:]).unlink()
    shutil.rmtree(own.parent / "store", ignore_errors=True)
    run(own, "dvc", "remote", "modify", "store", "url", str(own.parent / "store"))
    done = lmcore(own, "diff", "main", "HEAD", "--fail-on", "worse")
    assert done.exit_code == 1
    assert "is in neither the DVC cache nor a remote" in done.stderr


def test_diff_reads_an_experiment(lmcore, first, tmp_path):
    own = shutil.copytree(first, tmp_path / "own", symlinks=True)
    before = (own / "params.yaml").read_text()
    miniature.set_levels(own, bits=2.2)
    run(own, "dvc", "repro", "--quiet")
    run(own, "dvc", "exp", "save", "--quiet", "--name", "bits22")
    (own / "params.yaml").write_text(before)
    run(own, "git", "checkout", "--quiet", "dvc.lock", "metrics")
    run(own, "dvc", "checkout", "--quiet")
    done = lmcore(own, "diff", "bits22", "--fail-on", "worse")
    row = r"^good +heldout +bits_per_byte +2\.\d+ +\d\.\d+ +-0\.2000 .* better$"
    assert done.exit_code == 0
    assert re.search(row, done.stdout, re.M)


def test_diff_reads_the_remote_where_the_cache_has_nothing(lmcore, first):
    target = miniature.clone(first, "bare", "main")
    done = lmcore(target, "diff", "main", "v1")
    assert done.exit_code == 0
    assert "unchanged" in done.stdout
    assert not (target / ".dvc" / "cache").exists()


def test_diff_of_what_is_in_no_cache_and_no_remote_names_the_commands(lmcore, first):
    target = miniature.clone(first, "poor", "worse")
    done = lmcore(target, "diff", "origin/main", "origin/worse")
    remedy = (
        "is in neither the DVC cache nor a remote; `dvc push` where it was made, "
        "or make it here: `git checkout origin/worse"
    )
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert remedy in done.stderr
    done = lmcore(target, "diff", "origin/main")
    missing = "error: workspace: data/scores/good/pairs.parquet is missing; `dvc repro` makes it\n"
    assert done.stderr == missing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("gone",),
            "error: gone: unknown Git revision 'gone'; "
            "in a shallow clone (CI) fetch the whole history",
        ),
        (
            ("",),
            "error: '' is no revision (an unset variable?); "
            "expected a branch, tag, commit or experiment",
        ),
        (("main", ""), "error: '' is no revision (an unset variable?)"),
        (("  ",), "error: '  ' is no revision (an unset variable?)"),
        (("--", "-main"), "error: '-main' is no revision (an unset variable?)"),
        (
            ("HEAD:stages",),
            "error: HEAD:stages: names no commit; expected a branch, tag, commit or experiment",
        ),
        (
            ("main", "--fail-on", ""),
            "error: --fail-on: there is no verdict '' to fail on; expected worse",
        ),
        (
            ("main", "--fail-on", "worse", "--metric", "entropy"),
            "error: --fail-on: entropy is good neither high nor low",
        ),
        (("main", "main", "--metric", "gone"), "error: main ("),
        (("main", "--metric", ""), "error: main ("),
        (("main", "--suite", ""), "error: there is no suite '' in A or B"),
        (("main", "--margin", "inf"), "error: --margin: "),
        (("main", "--margin", "nan"), "error: --margin: "),
        (
            ("main", "--fail-on", "better"),
            "error: --fail-on: there is no verdict 'better' to fail on; expected worse",
        ),
        (
            ("main", "worse", "--suite", "gone"),
            "error: there is no suite 'gone' in A or B",
        ),
    ],
)
def test_diff_bad_arguments_end_in_one_line(lmcore, first, arguments, message):
    done = lmcore(first, "diff", *arguments)
    assert done.exit_code == 1
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_diff_outside_of_a_repository_says_so(lmcore, tmp_path):
    done = lmcore(tmp_path, "diff")
    assert "neither here nor above is a repository with .dvc and dvc.yaml" in done.stderr


def test_diff_of_three_models_on_two_suites_has_a_row_for_each(tmp_path):
    write_repository(670, 3, 2, miniature.SECTION, tmp_path)
    assert len(re.findall("^m[0-2] +s[0-1] +accuracy", run_diff(tmp_path), re.M)) == 6


def test_verify_rebuilds_in_a_clean_clone_and_finds_the_same_bytes(lmcore, first):
    done = lmcore(first, "verify")
    assert done.exit_code == 0, done.stderr
    assert "note:" not in done.stderr
    assert "identical  fold_scores       data/scores" in done.stdout
    assert done.stdout.endswith("3 of 3 outputs are byte-identical to dvc.lock\n")


def test_verify_says_which_table_differs_by_how_much(lmcore, first, tmp_path, monkeypatch):
    monkeypatch.setenv("HIDDEN_NOISE", "1e-6")
    done = lmcore(first, "verify", "fold_scores", "--keep", str(tmp_path / "kept"))
    difference = (
        "data/scores/good/heldout.parquet: of 40 rows value differs in 40 rows by up to 1e-06"
    )
    assert done.exit_code == 1
    assert (tmp_path / "kept" / "dvc.lock").exists()
    assert difference in done.stdout
    assert done.stdout.endswith("1 of 2 outputs are byte-identical to dvc.lock\n")


def test_verify_unknown_stage_is_named(lmcore, first):
    done = lmcore(first, "verify", "gone")
    assert (
        "error: dvc.lock has no stage 'gone'; it has fingerprint_code, fold_scores" in done.stderr
    )


def steps(job: str) -> list[dict]:
    """The steps of a job of the GitHub workflow that run a command."""
    jobs = read_yaml(ROOT / ".github/workflows/ci.yaml")["jobs"]
    return [step for step in jobs[job]["steps"] if "run" in step]


def shell(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess:
    """Run a command as GitHub runs a step, with what `make setup` made on the path."""
    settings = {
        "GITHUB_PATH": str(folder / ".git" / "path"),
        "GITHUB_STEP_SUMMARY": str(folder / ".git" / "summary"),
        "GITHUB_ENV": str(folder / ".git" / "environment"),
        "BASE": "origin/main",
    }
    script = f'PATH="$PWD/.venv/bin:$PATH"\n{command}'
    bash = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
    return run(folder, *bash, script, **{**settings, **environment})


def of_steps(folder: Path) -> dict[str, str]:
    """The variables that steps have set for the steps after them."""
    path = folder / ".git" / "environment"
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines)


def test_github_tests_job_runs(ci):
    for step in steps("tests"):
        shell(ci, step["run"])
    assert (ci / ".git" / "path").read_text() == f"{ci}/.venv/bin\n"


GH = '''#!/usr/bin/env python
"""Stands for GitHub's command: comments live in $COMMENTS, a JSON file."""
import json, os, pathlib, sys
file = pathlib.Path(os.environ["COMMENTS"])
comments = json.loads(file.read_text()) if file.exists() else [{"id": 1, "body": "a person's"}]
arguments = sys.argv[1:]
assert arguments[0] == "api" and os.environ["GH_TOKEN"]
if "--jq" in arguments:
    assert "repos/o/r/issues/7/comments" in arguments
    for comment in comments:
        if comment["body"].startswith("<!-- lmcore -->"):
            print(comment["id"])
else:
    field = arguments[arguments.index("--field") + 1]
    assert field.startswith("body=@")
    body = pathlib.Path(field.removeprefix("body=@")).read_text()
    if "PATCH" in arguments:
        number = int(next(a for a in arguments if a.startswith("repos/")).rsplit("/", 1)[1])
        next(comment for comment in comments if comment["id"] == number)["body"] = body
    else:
        assert "POST" in arguments and "repos/o/r/issues/7/comments" in arguments
        comments.append({"id": len(comments) + 1, "body": body})
file.write_text(json.dumps(comments))
'''


def test_github_results_job_rebuilds_and_comments_once(ci, tmp_path, monkeypatch):
    """A step that comments runs twice; the second time it changes its comment."""
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    settings = {
        "GITHUB_REPOSITORY": "o/r",
        "PR": "7",
        "GH_TOKEN": "t",
        "COMMENTS": str(tmp_path / "comments.json"),
    }
    for step in steps("results"):
        shell(ci, step["run"], **settings, **of_steps(ci))
        if "gh api" in step["run"]:
            shell(ci, step["run"], **settings, **of_steps(ci))
    assert not of_steps(ci), "the remote has the scores of main"
    _, comment = json.loads((tmp_path / "comments.json").read_text())
    body = comment["body"]
    assert body == (ci / "comment.md").read_text() == (ci / ".git" / "summary").read_text()
    assert "2 better, 2 unchanged" in body
    assert "| good | pairs | accuracy |" in body
    assert "levels.good.accuracy" in body
    assert "| metrics/models/good.json | pairs.value" in body
    assert "dvc.lock and metrics are not those that this code gives here" in body
    assert "**better**" in body


def with_other_digits(first: Path, name: str, branch: str, *, has_remote: bool) -> Path:
    """A clone of `branch` on a machine whose processor gives other last digits.

    As in params.yaml, differences within 0.005 count as equal.
    """
    target = miniature.clone(first, name, branch)
    params = read_yaml(target / "params.yaml")
    params["compare_models"]["margin"]["surprisal_per_byte"] = 0.005
    write_yaml(params, target / "params.yaml")
    if not has_remote:
        nowhere = str(first.parent / "nowhere")
        run(target, "dvc", "remote", "modify", "--quiet", "--local", "store", "url", nowhere)
    return target


NOT_COMMENTING = [step for step in steps("results") if "gh api" not in step["run"]]


@pytest.mark.parametrize(("branch", "is_worse"), [("better", False), ("worse", True)])
def test_github_results_job_builds_a_base_that_is_not_to_be_had(
    first, branch, is_worse, monkeypatch
):
    monkeypatch.setenv("HIDDEN_NOISE", "1e-12")
    folder = with_other_digits(first, f"no_base_{branch}", branch, has_remote=False)
    *others, last = NOT_COMMENTING
    for step in others:
        shell(folder, step["run"], **of_steps(folder))
    base = of_steps(folder)["BASE"]
    subject = run(folder, "git", "log", "-1", "--format=%s", base).stdout
    assert subject == "origin/main, built by CI\n"
    parent = run(folder, "git", "rev-parse", f"{base}~1").stdout
    assert parent == run(folder, "git", "rev-parse", "origin/main").stdout
    assert len(run(folder, "git", "worktree", "list").stdout.splitlines()) == 1
    comment = (folder / "comment.md").read_text()
    assert ("**worse**" in comment) == is_worse
    assert ("**better**" in comment) != is_worse
    assert "was not rerun" not in comment
    if is_worse:
        with pytest.raises(AssertionError, match="worse"):
            shell(folder, last["run"], **of_steps(folder))
    else:
        shell(folder, last["run"], **of_steps(folder))


def test_github_results_job_reports_last_digits_and_passes(first, monkeypatch):
    """A change of code that changes no number makes the stage run on the other processor."""
    monkeypatch.setenv("HIDDEN_NOISE", "1e-12")
    folder = with_other_digits(first, "digits", "main", has_remote=True)
    script = folder / "stages" / "fold_scores.py"
    script.write_text(
        script.read_text().replace("np.random.default_rng(0)", "np.random.default_rng(0 + 0)")
    )
    for step in NOT_COMMENTING:
        shell(folder, step["run"], **of_steps(folder))
    comment = (folder / "comment.md").read_text()
    assert not of_steps(folder), "the remote has the scores of main"
    assert "dvc.lock and metrics are not those" in comment
    assert "within 0.005" in comment


def test_github_set_up_drops_an_environment_that_does_not_start(tmp_path):
    (command,) = {step["run"] for step in steps("tests") if "make setup" in step["run"]}
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "dvc").write_text("#!/of/another/machine/python\n")
    (programs / "dvc").chmod(0o755)
    (tmp_path / "Makefile").write_text("setup-dev:\n\ttest ! -e .venv\n")
    (tmp_path / ".git").mkdir()
    shell(tmp_path, command)
    (programs / "dvc").parent.mkdir(parents=True)
    (programs / "dvc").write_text("#!/bin/sh\n")
    (programs / "dvc").chmod(0o755)
    (tmp_path / "Makefile").write_text("setup-dev:\n\ttest -e .venv/installed\n")
    (tmp_path / ".venv" / "installed").touch()
    shell(tmp_path, command)


def caches(job: str) -> list[dict]:
    """What the steps of a job of the GitHub workflow restore or save, in order."""
    jobs = read_yaml(ROOT / ".github/workflows/ci.yaml")["jobs"]
    of_caches = [step for step in jobs[job]["steps"] if "/cache" in step.get("uses", "")]
    return [{"uses": step["uses"].split("@")[0], **step["with"]} for step in of_caches]


def test_github_caches_the_environment_by_its_pins_and_what_dvc_made_by_its_lock():
    (of_tests,) = caches("tests")
    of_results, restored, saved = caches("results")
    assert of_tests == of_results
    assert of_tests["path"] == ".venv"
    for part in ("hashFiles('constraints.txt', 'pyproject.toml')", "outputs.python-version"):
        assert part in of_tests["key"]
    assert "restore-keys" not in of_tests, "an environment with other pins"
    assert restored["path"] == saved["path"] == ".dvc/cache"
    of_the_lock = "dvc-${{ hashFiles('dvc.lock') }}-"
    assert restored["key"].startswith(of_the_lock)
    assert restored["restore-keys"].splitlines() == [of_the_lock, "dvc-"]
    assert saved["key"] == "${{ steps.dvc-cache.outputs.cache-primary-key }}"


class Notes(BaseHTTPRequestHandler):
    """Stands for GitLab's notes of merge request 7 of project 3."""

    notes: list[dict] = []

    def do_GET(self):
        assert self.path == "/projects/3/merge_requests/7/notes?per_page=100"
        assert self.headers["PRIVATE-TOKEN"] == "t"
        self.answer(self.notes)

    def do_POST(self):
        assert self.path == "/projects/3/merge_requests/7/notes"
        self.notes.append({"id": len(self.notes) + 1, "body": self.body()})
        self.answer({})

    def do_PUT(self):
        self.notes[int(self.path.rsplit("/", 1)[1]) - 1]["body"] = self.body()
        self.answer({})

    def body(self) -> str:
        return parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["body"][0]

    def answer(self, value) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *_):
        pass


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_gitlab_jobs_run_what_github_does_not_and_note_once(ci):
    """The last command, which posts the note, runs twice; the second time it changes its note."""
    pipeline = read_yaml(ROOT / "docs/gitlab-ci.yaml")
    run_by_github = "\n".join(step["run"] for step in steps("tests") + steps("results"))
    script = [
        *pipeline["default"]["before_script"],
        *pipeline["tests"]["script"],
        *pipeline["results"]["script"],
    ]
    others = [command for command in script if command not in run_by_github]
    assert len(others) == 6
    assert others[-1].count("curl") == 2
    server = HTTPServer(("127.0.0.1", 0), Notes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = {
        "GITLAB_TOKEN": "t",
        "CI_PROJECT_ID": "3",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_API_V4_URL": f"http://127.0.0.1:{server.server_port}",
        "no_proxy": "*",
    }
    (ci / "comment.md").write_text("<!-- lmcore -->\nfirst & only\n")
    try:
        shell(ci, "\n".join([*others, "echo 'again = 2' >> comment.md", others[-1]]), **settings)
    finally:
        server.shutdown()
        server.server_close()
    assert [note["body"] for note in Notes.notes] == ["<!-- lmcore -->\nfirst & only\nagain = 2\n"]


def test_gitlab_and_github_write_the_same_comment():
    pipeline = read_yaml(ROOT / "docs/gitlab-ci.yaml")
    commands = pipeline["results"]["script"]
    (of_gitlab,) = [command for command in commands if "<!-- lmcore -->'\n" in command]
    (of_github,) = [step["run"] for step in steps("results") if "> comment.md" in step["run"]]
    assert of_github.startswith(of_gitlab)
