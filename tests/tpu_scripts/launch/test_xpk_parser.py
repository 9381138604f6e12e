"""xpk's own parser accepts every xpk command that a launch prints (`make interop` installs xpk)."""

import json
import pathlib
import shlex
import subprocess

import pytest

from tpu_scripts.launch import command

ROOT = pathlib.Path(__file__).parents[3]
XPK = ROOT / "build/xpk/bin/python"
PARSE = """
import argparse, json, sys
from xpk.parser.core import set_parser
parser = argparse.ArgumentParser(prog="xpk")
set_parser(parser=parser)
for arguments in json.load(sys.stdin):
    options = parser.parse_args(arguments)
    print(options.workload, getattr(options, "tpu_type", ""), getattr(options, "max_restarts", ""))
"""

pytestmark = [
    pytest.mark.interop,
    pytest.mark.process,
    pytest.mark.skipif(not XPK.exists(), reason="xpk is not installed: make interop"),
]


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--slices=2", "--evaluator=v6e:1x1", "--topology=v6e:4x4"),
        ("--docker_image=example/qlae:1",),
    ],
)
def test_every_command_parses(project, flags, capsys, monkeypatch, tmp_path, more):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    xpk = ("--engine=xpk", "--cluster=pool", "--topology=v5e:4x4", "--dry_run")
    assert command.main([*flags, *xpk, *more]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line in lines:  # Its parser looks for the source's directory.
        if line.startswith(("git ", "mkdir ", "tar ")):
            subprocess.run(shlex.split(line), check=True)
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("xpk ")]
    assert {line[1] for line in commands} == {"create", "delete"}
    parsed = subprocess.run(
        [XPK, "-c", PARSE], input=json.dumps(commands), text=True, capture_output=True, check=False
    )
    assert parsed.returncode == 0, parsed.stderr
    assert len(parsed.stdout.splitlines()) == len(commands)
    assert parsed.stdout.startswith("run v")
