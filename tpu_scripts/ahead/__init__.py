"""Programs compiled ahead of time, and what they say of memory, speed and plans."""
