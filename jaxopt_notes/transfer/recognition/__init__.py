"""Which of a framework's optimizers a transformation is: its traced program is read, and proved."""
