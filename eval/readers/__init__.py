"""Readers of what `eval.export` writes, to be copied into other projects."""
