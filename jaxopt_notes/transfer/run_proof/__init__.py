"""Whether a run that was moved goes on as it would have in torch: both are stepped side by side."""
