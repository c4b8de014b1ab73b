"""Who the workers are, from what TF_CONFIG and SLURM say."""

import json

import pytest

from keras_dlparts.distribute.cluster import Cluster, find

SLURM = {
    "SLURM_JOB_ID": "123456",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NODELIST": "gpu[9-10],login",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2),2",
    "SLURM_PROCID": "2",
}


def tf_config(cluster, **task):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


def test_one_process_is_no_cluster():
    assert find({}) is None
    assert find({"TF_CONFIG": ""}) is None
    assert find({"TF_CONFIG": "{}"}) is None
    assert find({**SLURM, "SLURM_STEP_NUM_TASKS": "1"}) is None


def test_workers_of_tf_config():
    found = find(tf_config({"worker": ["a:1", "b:2"]}, type="worker", index=1))
    assert found == Cluster(("a:1", "b:2"), 1)


def test_the_chief_comes_first():
    jobs = {"worker": ["a:1", "b:2"], "chief": ["c:3"]}
    assert find(tf_config(jobs, type="chief", index=0)) == Cluster(
        ("c:3", "a:1", "b:2"), 0
    )
    assert find(tf_config(jobs, type="worker", index=1)).index == 2


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": []}',
        '{"cluster": {"worker": "a:1"}, "task": {"index": 0}}',
        '{"cluster": 3}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"index": 0}}',
        '{"cluster": {"ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "x"}}',
    ],
)
def test_a_wrong_tf_config(text):
    with pytest.raises(ValueError, match=r"TF_CONFIG must be like .* Received: "):
        find({"TF_CONFIG": text})


def test_tasks_of_slurm():
    addresses = ("gpu9:23456", "gpu10:23456", "login:23456", "login:23457")
    assert find(SLURM) == Cluster(addresses, 2)
    assert find({**SLURM, "SLURMD_NODENAME": "login"}).index == 2


def test_tf_config_goes_before_slurm():
    given = tf_config({"worker": ["a:1"]}, type="worker", index=0)
    assert find({**SLURM, **given}) == Cluster(("a:1",), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SLURM_STEP_NODELIST": "gpu9"}, "must tell the nodes of all tasks"),
        ({"SLURM_STEP_TASKS_PER_NODE": "3(x2),2"}, "must tell the nodes of all"),
        ({"SLURM_PROCID": "4"}, "must tell the nodes of all tasks"),
        ({"SLURMD_NODENAME": "gpu9"}, "spread over the nodes in blocks"),
    ],
)
def test_slurm_variables_that_do_not_fit(change, message):
    with pytest.raises(ValueError, match=rf"{message}.*Received: "):
        find({**SLURM, **change})
