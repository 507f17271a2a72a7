"""The facts of a machine, as `benchmarks.machine.facts` returns them."""

MACHINE = {
    "device": {"platform": "cpu", "kind": "cpu", "count": 1},
    "cpu": "Some CPU",
    "vectors": "",
    "cores": 2,
    "versions": {"python": "3.11"},
}
