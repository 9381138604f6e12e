"""One TFDS builder per dataset, over a shared base."""
