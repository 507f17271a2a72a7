"""Benchmarks of jaxopt_notes beside its peers: `python -m benchmarks` lists them."""
