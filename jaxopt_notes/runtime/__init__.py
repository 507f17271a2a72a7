"""The process around a computation: devices and hosts, compilation, memory, signals."""
