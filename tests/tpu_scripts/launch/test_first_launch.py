"""The guide to a first launch: its commands run as they are written, its numbers are the code's."""

import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

from tpu_scripts.launch import command, resources
from tpu_scripts.launch.patience import HOUR, Patience
from tpu_scripts.topologies import get_topology

pytestmark = pytest.mark.process
ROOT = pathlib.Path(__file__).parents[3]
GUIDE = pathlib.Path(command.__file__).with_name("FIRST_LAUNCH.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
LAUNCHES = [block for block in BLOCKS if "--dry_run" in block]
SETTINGS = next(block for block in BLOCKS if block.startswith("export"))
PLACEHOLDERS = {"PROJECT": "my-project", "BUCKET": "my-bucket"}


def fill(text: str) -> str:
    """Puts names in for PROJECT and BUCKET, as the reader does."""
    return re.sub(rf"(?<![A-Z_])({'|'.join(PLACEHOLDERS)})\b", lambda m: PLACEHOLDERS[m[0]], text)


@pytest.fixture
def shell(cloud, project, monkeypatch):
    """Reads the page's shell lines: its settings and names put in, `python -m ...` taken apart."""
    shutil.copy(ROOT / "experiments/configs/qlae.py", project / "experiments/configs")
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com")
    for arguments in (("add", "-A"), ("commit", "-q", "-m", "the guide's config")):
        subprocess.run([*git, *arguments], check=True)
    variables = {}
    for setting in shlex.split(fill(SETTINGS)):
        name, _, value = setting.partition("=")
        variables[name] = value
        if name.startswith("CLOUDSDK"):
            monkeypatch.setenv(name, value)

    def read(line: str) -> list[str]:
        filled = re.sub(r"\$(\w+)", lambda match: variables[match[1]], fill(line))
        assert filled.startswith("python -m tpu_scripts.launch ")
        return shlex.split(filled.replace("\\\n", ""), comments=True)[3:]

    return read


@pytest.mark.parametrize(
    ("launch", "printed"),
    [
        (LAUNCHES[0], ["--accelerator-type=v5litepod-1 ", "--config.num_steps=1000"]),
        (LAUNCHES[1], ["--accelerator-type=v5litepod-16 ", " --spot ", "create second-eval "]),
        (LAUNCHES[2], ["--accelerator-type=v5litepod-256 ", " --spot ", "population.seeds=64"]),
    ],
    ids=["one chip", "sixteen", "population"],
)
def test_a_launch_as_it_is_written(shell, capsys, launch, printed):
    assert command.main(shell(launch)) == 0
    out = capsys.readouterr().out
    for words in (*printed, "--service-account=trainer@my-project.iam.gserviceaccount.com"):
        assert words in out


def test_there_are_three_launches():
    assert len(LAUNCHES) == 3


def test_what_costs_what():
    """Each launch's heading says its chips' price."""
    price = float(re.search(r"([\d.]+) dollars a v5e chip", GUIDE)[1])
    told = [float(number) for number in re.findall(r"^## .*?([\d.]+) dollars", GUIDE, re.MULTILINE)]
    names = [re.search(r"--topology=(\S+)", launch)[1] for launch in LAUNCHES]
    assert told == [pytest.approx(get_topology(name).chips * price, abs=0.5) for name in names]


def test_what_is_left_ends_when_the_page_says():
    patience = Patience()
    day = 24 * HOUR
    for text in (
        f"{patience.provision / HOUR:g} hours after it was made (`--provision_timeout`)",
        f"{patience.setup / HOUR:g} hours after it came up (`--setup_seconds`)",
        f"at the latest {patience.longest_run / day:g} days after its start (`--run_seconds`)",
        f"{(patience.provision + patience.longest_run) / day:g} days after its start |",
        f"{patience.outage / HOUR:g} hours without network\n(`--outage_timeout`)",
    ):
        assert text in GUIDE
    assert patience.linger == HOUR
    assert "an hour after the job's end (`--linger_seconds`)" in GUIDE


def test_flags_that_it_names_exist(capsys):
    text = re.sub(r"^gcloud .*|--config\.\S+", "", GUIDE, flags=re.MULTILINE)
    for main in (command.main, resources.main):
        with pytest.raises(SystemExit):
            main(["--help"])
    known = set(re.findall(r"--[a-z_]+", capsys.readouterr().out))
    named = set(re.findall(r"--[a-z_]+", text))
    assert {"--attach", "--list", "--delete", "--internal_ips"} <= named
    assert named <= known
