"""The microscope: the equation of any optimizer, the name of any difference."""
