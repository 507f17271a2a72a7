"""Training a network: the step, the loop over steps, and the run that they make."""
