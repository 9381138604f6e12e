"""Golden files against the project's own builders and steps: `python -m tests.parity FILE.npz`."""
