"""Uses a trained network: from a run's folder to predictions and exported files."""
