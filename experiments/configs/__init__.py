"""One ml_collections config file per model."""
