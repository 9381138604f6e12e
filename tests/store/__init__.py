"""A small object store on loopback, for the clients of `gs://` that the project really uses."""
