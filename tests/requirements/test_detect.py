"""Which lock fits a machine, by its NVIDIA driver, its chip and its PCI devices."""

import pytest

from requirements import detect

OLD_DRIVER = {"driver_version": (470, 82, 1)}
VOLTA = {"driver_version": (580, 65), "compute_cap": (7, 0)}
AMPERE = {"driver_version": (535, 183), "compute_cap": (8, 0)}
HOPPER = {"driver_version": (580, 95, 5), "compute_cap": (9, 0)}


@pytest.fixture
def machine(monkeypatch):
    """Makes this machine one with the given answers of nvidia-smi, or without it."""

    def make(answers=None, tpu=False):
        path = None if answers is None else "/usr/bin/nvidia-smi"
        monkeypatch.setattr(detect.shutil, "which", lambda name: path)
        monkeypatch.setattr(detect, "query", (answers or {}).get)
        monkeypatch.setattr(detect, "has_tpu", lambda: tpu)

    return make


@pytest.mark.parametrize(
    ("answers", "tpu", "lock"),
    [
        (None, False, "cpu"),
        (None, True, "tpu"),
        (HOPPER, False, "cuda13"),
        (AMPERE, False, "cuda12"),
        (VOLTA, False, "cuda12"),
    ],
)
def test_the_lock_that_fits(answers, tpu, lock, machine, capsys):
    machine(answers, tpu)
    assert detect.main([]) == 0
    assert capsys.readouterr() == (f"{lock}\n", "")


@pytest.mark.parametrize("lock", ["cpu", "cuda12", "cuda13"])
def test_a_lock_that_the_machine_can_run_may_be_named(lock, machine, capsys):
    machine(HOPPER)
    assert detect.main([lock]) == 0
    assert capsys.readouterr().out == f"{lock}\n"


@pytest.mark.parametrize(
    ("answers", "wanted", "line"),
    [
        (OLD_DRIVER, [], "of version 525 or newer, and here is driver 470.82.1: take {}cpu"),
        (AMPERE, ["cuda13"], "of version 580 or newer, and here is driver 535.183: take {}cuda12"),
        (VOLTA, ["cuda13"], "capability 7.5 or newer, and here is one of 7.0: take {}cuda12"),
        (None, ["cuda12"], "no NVIDIA driver is found: cuda12 needs one"),
        ({}, ["cuda12"], "nvidia-smi finds no GPU: cuda12 needs one"),
        (None, ["rocm"], "unknown ACCELERATOR 'rocm': valid: cpu, tpu, cuda12, cuda13"),
    ],
)
def test_what_is_missing_is_one_line(answers, wanted, line, machine, capsys):
    machine(answers)
    assert detect.main(wanted) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.endswith(f"{line.format('ACCELERATOR=')}\n")
    assert err.count("\n") == 1


def test_a_driver_without_a_gpu_is_said_and_done_without(machine, capsys):
    machine({})
    assert detect.main([]) == 0
    assert capsys.readouterr() == ("cpu\n", "nvidia-smi finds no GPU: ACCELERATOR=cpu is taken\n")


@pytest.mark.parametrize(
    ("vendor", "device", "tpu"),
    [
        ("0x1ae0", "0x0063", True),
        ("0x1ae0", "0x0042", False),  # Google's network card
        ("0x10de", "0x0063", False),
    ],
)
def test_a_tpu_is_found_by_its_pci_device(vendor, device, tpu, tmp_path):
    folder = tmp_path / "0000:00:04.0"
    folder.mkdir()
    (folder / "vendor").write_text(f"{vendor}\n")
    (folder / "device").write_text(f"{device}\n")
    assert detect.has_tpu(str(tmp_path)) == tpu
    assert not detect.has_tpu(str(tmp_path / "none"))


@pytest.mark.process
@pytest.mark.parametrize(
    ("script", "version"),
    [("echo 580.95.05; echo 580.95.05", (580, 95, 5)), ("exit 9", None), ("echo '[N/A]'", None)],
)
def test_what_nvidia_smi_answers(script, version, tmp_path, monkeypatch):
    fake = tmp_path / "nvidia-smi"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert detect.query("driver_version") == version
