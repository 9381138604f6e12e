"""From a dataset's grid of sources to batches of images on the device."""
