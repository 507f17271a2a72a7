"""A trained network at work: from a run's folder to predictions and exported files."""
