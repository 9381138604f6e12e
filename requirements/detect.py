"""Which of the locks beside this file fits this machine: prints cpu, tpu, cuda12 or cuda13.

python requirements/detect.py [LOCK]    # LOCK itself, if the machine can run it
"""

import glob
import os
import shutil
import subprocess
import sys

# The oldest NVIDIA drivers, and for CUDA 13 the oldest chips, that each plugin of JAX runs on.
DRIVERS = {"cuda12": (525,), "cuda13": (580,)}
OLDEST_CHIP = {"cuda12": (5, 2), "cuda13": (7, 5)}
LOCKS = ("cpu", "tpu", *DRIVERS)
# TPU v2 and v3, v4, v5p, v5e, v6e, 7x.
TPU_DEVICES = ("0x0027", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076")
GOOGLE = "0x1ae0"


def main(arguments):
    """Prints the lock; returns 2 after one line on stderr where none fits."""
    wanted = arguments[0] if arguments else None
    gpu, missing = None, None
    try:
        gpu = find_gpu()
    except RuntimeError as error:
        missing = str(error)
    if wanted is None:
        if gpu is not None:
            wanted = next((lock for lock in ("cuda13", "cuda12") if fits(lock, gpu)), "cuda12")
        else:
            wanted = "tpu" if has_tpu() else "cpu"
            if missing:
                print(f"{missing}: ACCELERATOR={wanted} is taken", file=sys.stderr)
    if wanted not in LOCKS:
        return complain(f"unknown ACCELERATOR {wanted!r}: valid: {', '.join(LOCKS)}")
    if wanted in DRIVERS and gpu is None:
        return complain(f"{missing or 'no NVIDIA driver is found'}: {wanted} needs one")
    if wanted in DRIVERS and not fits(wanted, gpu):
        return complain(describe_misfit(wanted, gpu))
    print(wanted)
    return 0


def find_gpu():
    """Returns (driver, chip) as tuples of numbers, or None where no driver is installed.

    Raises:
        RuntimeError: a driver is installed, and finds no GPU.
    """
    if shutil.which("nvidia-smi") is None:
        return None
    driver = query("driver_version")
    if driver is None:
        raise RuntimeError("nvidia-smi finds no GPU")
    # Drivers too old to know the question are older than any that will do.
    return driver, query("compute_cap") or (0, 0)


def query(field):
    """Returns the first GPU's `field`, a version, as a tuple of numbers; None without an answer."""
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False
        )
        if answer.returncode:
            return None
        return tuple(int(part) for part in answer.stdout.decode().split()[0].split("."))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def fits(lock, gpu):
    """Whether driver and chip are new enough for `lock`."""
    driver, chip = gpu
    return driver >= DRIVERS[lock] and chip >= OLDEST_CHIP[lock]


def describe_misfit(lock, gpu):
    """Returns the line that says what `lock` lacks."""
    driver, chip = (".".join(map(str, version)) for version in gpu)
    if gpu[0] < DRIVERS[lock]:
        need, have = f"an NVIDIA driver of version {DRIVERS[lock][0]} or newer", f"driver {driver}"
    else:
        oldest = ".".join(map(str, OLDEST_CHIP[lock]))
        need, have = f"a GPU of compute capability {oldest} or newer", f"one of {chip}"
    others = [other for other in ("cuda12",) if other != lock and fits(other, gpu)]
    return f"{lock} needs {need}, and here is {have}: take ACCELERATOR={(others or ['cpu'])[0]}"


def has_tpu(devices="/sys/bus/pci/devices"):
    """Whether a TPU is attached."""
    return any(
        read(vendor) == GOOGLE
        and read(os.path.join(os.path.dirname(vendor), "device")) in TPU_DEVICES
        for vendor in glob.glob(os.path.join(devices, "*", "vendor"))
    )


def read(path):
    """Returns the text of a small file."""
    with open(path) as file:
        return file.read().strip()


def complain(line):
    """Prints one line on stderr; returns the exit code of a user's mistake."""
    print(f"error: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
