"""Describes the machine that the benchmarks ran on: device, cores, versions.

A separate process asks JAX, because a device that this process held would not be available to the
contestants.
"""

import json
import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from jaxopt_notes.errors import InputError

KNOWN = "JAXOPT_NOTES_BENCHMARKS_MACHINE"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")
_DEVICE = """
import json, sys, jax
from jaxopt_notes.errors import InputError
from jaxopt_notes.runtime import start
try:
    d = start.devices()[0]
except InputError as error:
    sys.exit(str(error))
print(json.dumps({"platform": d.platform, "kind": d.device_kind, "count": jax.device_count()}))
"""


def facts() -> dict[str, Any]:
    """Everything about this machine that a reader of the results needs.

    A program that starts many benchmarks stores the facts in the variable `KNOWN`, because asking
    JAX takes seconds on an accelerator.
    """
    if known := os.environ.get(KNOWN):
        return json.loads(known)
    process = subprocess.run([sys.executable, "-c", _DEVICE], capture_output=True, text=True)
    if process.returncode:
        raise InputError(process.stderr.strip().splitlines()[-1])
    device = json.loads(process.stdout.splitlines()[-1])
    return {
        "device": device,
        "cpu": _cpu_name(),
        "vectors": _vectors(),
        "cores": cores(),
        "memory_gb": round(_memory_kb("MemTotal") / 2**20, 1),
        "system": platform.system(),
        "versions": {"python": platform.python_version(), **_versions()},
    }


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def folder_name(machine: dict[str, Any]) -> str:
    """The name of the machine's folder of results: its accelerator, or its CPU's model.

    >>> xeon = {"cpu": "Intel(R) Xeon(R) CPU @ 2.20GHz", "vectors": "avx512", "cores": 2}
    >>> folder_name({"device": {"platform": "cpu", "kind": "cpu"}, **xeon})
    'intel-xeon-cpu-avx512-2-cores'
    >>> folder_name({"device": {"platform": "gpu", "kind": "NVIDIA A100-SXM4-40GB"}, **xeon})
    'nvidia-a100-sxm4-40gb'
    """
    name = machine["device"]["kind"]
    if machine["device"]["platform"] == "cpu":
        model = re.sub(r"\((R|TM)\)|@.*", " ", machine["cpu"], flags=re.IGNORECASE)
        name = f"{model} {machine['vectors']} {machine['cores']} cores"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def header(machine: dict[str, Any]) -> str:
    """One line of text about the machine."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    device, cpu = machine["device"], _cpu(machine)
    what = cpu if device["platform"] == "cpu" else f"{device['count']} × {device['kind']}, {cpu}"
    return f"{what} · {versions}"


def free_bytes() -> int | None:
    """The memory that is available to processes now; None where the system does not say."""
    return _memory_kb("MemAvailable") * 1024 or None


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _cpu(machine: dict[str, Any]) -> str:
    vectors = f" ({machine['vectors']})" if machine["vectors"] else ""
    return f"{machine['cpu']}{vectors}, {machine['cores']} cores"


def _cpu_name() -> str:
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return _cpu_field("model name") or platform.processor() or platform.machine()


def _vectors() -> str:
    """The CPU's widest vector instructions that matter here; empty if the system does not say."""
    flags = _cpu_field("flags").split()
    return next((name for name in ("avx512", "avx2") if {name, f"{name}f"} & set(flags)), "")


def _cpu_field(field: str) -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    match = re.search(rf"^{field}\s*: (.*)", text, flags=re.MULTILINE)
    return match.group(1) if match else ""


def _memory_kb(field: str) -> int:
    try:
        text = Path("/proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return 0
    match = re.search(rf"{field}:\s*(\d+) kB", text)
    return int(match.group(1)) if match else 0
