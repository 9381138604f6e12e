"""One sharded step, its state, its checkpoints and its loop."""
