"""The process that runs a computation: its start, devices, compilation, memory and signals."""
