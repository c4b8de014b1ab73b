"""Several processes on one machine: what each may use of it, and how one ended."""

import glob
import os
import signal


def cores() -> int:
    """How many processor cores this process may use.

    Linux tells which ones a process is confined to; where the system does not, as on
    macOS, all of the machine's cores count.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def accelerators() -> list[str]:
    """The names by which CUDA devices are chosen, found without starting a backend.

    They are what `CUDA_VISIBLE_DEVICES` names, or else all devices of NVIDIA's driver
    for Linux. Elsewhere there are none, unless that variable names them.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    return [str(n) for n in range(len(glob.glob("/dev/nvidia[0-9]*")))]


def environment(number: int, count: int) -> dict[str, str]:
    """The environment of process `number` of `count`: its accelerator, its threads.

    Each process has one accelerator and its share of the cores.
    """
    total = cores()
    threads = str(max(1, total // count + (number < total % count)))
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    share = dict.fromkeys((*names, "NPROC"), threads)  # XLA on a CPU reads NPROC
    devices = accelerators()
    if devices:
        share["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
    if count > len(devices):  # several on one: none may take all of its memory
        share["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        share["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    return share


def ending(code: int) -> str:
    """How a process ended, in words.

    >>> ending(3)
    'ended with exit code 3'
    >>> ending(-15)
    'was killed by SIGTERM'
    """
    if code >= 0:
        return f"ended with exit code {code}"
    names = {s.value: s.name for s in signal.Signals}
    name = names.get(-code, str(-code))
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"
