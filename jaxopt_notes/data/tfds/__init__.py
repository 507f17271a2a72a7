"""Data sets in TFDS's format: found, prepared, decoded and cached."""
