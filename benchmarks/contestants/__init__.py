"""The programs that take part in the benchmarks, each in its own process."""
