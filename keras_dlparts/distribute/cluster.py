"""Who the workers are, read from the environment that started them.

Either `TF_CONFIG`, which TensorFlow defines and `dlparts train --workers` writes too:

    {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}

or, without it, the variables that SLURM's `srun` sets in each task of a step. The chief
is worker 0, or the one that `TF_CONFIG` names as such.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cluster:
    """The workers' addresses, the chief's first, and which of them this process is."""

    addresses: tuple[str, ...]
    index: int


def find(environ: Mapping[str, str] = os.environ) -> Cluster | None:
    """The `Cluster` this process is in, or None if nothing says that it is in one.

    >>> step = {"SLURM_STEP_NUM_TASKS": "3", "SLURM_STEP_NODELIST": "node[09-10]"}
    >>> step |= {"SLURM_STEP_TASKS_PER_NODE": "2,1", "SLURM_PROCID": "1"}
    >>> find(step)
    Cluster(addresses=('node09:20000', 'node09:20001', 'node10:20000'), index=1)
    """
    if environ.get("TF_CONFIG"):
        return _from_tf_config(environ["TF_CONFIG"])
    if int(environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return _from_slurm(environ)
    return None


def _from_tf_config(text):
    try:
        config = json.loads(text)
        jobs, task = {**config.get("cluster", {})}, config.get("task", {})
        chiefs, workers = jobs.pop("chief", []), jobs.pop("worker", [])
        if not isinstance(chiefs, list) or not isinstance(workers, list):
            raise TypeError
        addresses = (*chiefs, *workers)
        kind, index = task.get("type", "worker"), int(task.get("index", 0))
        index += len(chiefs) if kind == "worker" else 0
    except (ValueError, AttributeError, TypeError):
        raise ValueError(_rule(text)) from None
    if not jobs and not addresses:  # an empty cluster means a single process
        return None
    if jobs or kind not in ("chief", "worker") or not 0 <= index < len(addresses):
        raise ValueError(_rule(text))
    return Cluster(addresses, index)


def _rule(text):
    return (
        'TF_CONFIG must be like {"cluster": {"worker": ["host:port", ...]}, "task": '
        '{"type": "worker", "index": 0}}; besides workers it may name a chief, and the '
        f"task must be one of them. Received: {text}"
    )


def _from_slurm(environ):
    names = ("NODELIST", "TASKS_PER_NODE")
    nodes, tasks = (environ.get(f"SLURM_STEP_{name}", "") for name in names)
    rank, job = int(environ.get("SLURM_PROCID", 0)), int(environ.get("SLURM_JOB_ID", 0))
    # So that two jobs on a node take different ports.
    port = 20000 + job % 10000
    hosts = [*zip(_hosts(nodes), _counts(tasks), strict=False)]
    addresses = tuple(f"{host}:{port + i}" for host, n in hosts for i in range(n))
    here = environ.get("SLURMD_NODENAME")
    if not rank < len(addresses) == int(environ["SLURM_STEP_NUM_TASKS"]):
        raise ValueError(
            "SLURM's variables must tell the nodes of all tasks. Received: "
            f"SLURM_STEP_NODELIST={nodes!r}, SLURM_STEP_TASKS_PER_NODE={tasks!r}, "
            f"SLURM_PROCID={rank}. Start the workers by `srun`, or set TF_CONFIG"
        )
    if here and addresses[rank].partition(":")[0] != here:
        raise ValueError(
            "The tasks must be spread over the nodes in blocks. Received: task "
            f"{rank} on {here}, where {addresses[rank]} was expected. Give `srun` "
            "--distribution=block, or set TF_CONFIG"
        )
    return Cluster(addresses, rank)


def _hosts(text):
    """Expand SLURM's list of nodes.

    >>> _hosts("a,n[1-2,07]")
    ['a', 'n1', 'n2', 'n07']
    """
    hosts = []
    for prefix, ranges, rest in re.findall(r"([^,\[]+)(?:\[([^\]]*)\])?([^,]*)", text):
        for span in ranges.split(","):
            first, _, last = span.partition("-")
            if not first:
                hosts.append(prefix + rest)
                continue
            for number in range(int(first), int(last or first) + 1):
                hosts.append(f"{prefix}{number:0{len(first)}d}{rest}")
    return hosts


def _counts(text):
    """Expand SLURM's numbers of tasks.

    >>> _counts("2(x3),1")
    [2, 2, 2, 1]
    """
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(count) for count, times in found for _ in range(int(times or 1))]
