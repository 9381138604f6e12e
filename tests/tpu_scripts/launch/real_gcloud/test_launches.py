"""Launches that are granted, refused and ended: what is billed in the end, with the real gcloud.

A gcloud takes a second to start, so that all but the first run in `make interop` only.
"""

import pytest

from tests.tpu_scripts.launch.real_gcloud.services import NEEDS_GCLOUD, Refusal
from tpu_scripts.launch import command

pytestmark = [pytest.mark.process, NEEDS_GCLOUD]
SLOW = pytest.mark.interop
CREATE = "POST /v2/projects/my-project/locations/us-west4-a/queuedResources"
ALL_FOUR = [f"run:0/{worker}" for worker in range(4)]
ON_FOUR = ("--topology=v5e:4x4",)
QUOTA = Refusal(429, "RESOURCE_EXHAUSTED", "Quota limit 'TPUV5sLitepodPerProject' exhausted")
CAPACITY = Refusal(429, "RESOURCE_EXHAUSTED", "There is no more capacity in the zone us-west4-a")
NO_ACCELERATOR = Refusal(
    400, "FAILED_PRECONDITION", "Accelerator v5litepod-1 was not found in zone us-west4-a"
)


def test_success(api, launch):
    """Nothing is left, and every worker trained once; a key was made on the way."""
    code, out, err = launch("--provisioning=spot", "--config.seed=3")
    assert (err, code) == ("", 0)
    assert "experiments.train start 1 on run:0/0 with tpu,cpu" in out
    assert out.count("experiments.train leaves with 0") == 1
    assert api.resources == {}
    (body,) = api.created
    assert body["spot"] == {}
    assert body["queueingPolicy"]["validUntilDuration"] == "600s"
    node = body["tpu"]["nodeSpec"][0]["node"]
    assert node["labels"] == {"made-by": "qlae-launch"}
    assert node["metadata"]["launch-resource"].endswith("locations/us-west4-a/queuedResources/run")
    assert node["metadata"]["startup-script"].startswith("#!/bin/bash\n")


@SLOW
def test_quota(api, launch):
    """A refusal for good makes nothing, and is not repeated."""
    api.refusals = [QUOTA]
    code, _, err = launch()
    assert (code, len(api.created)) == (2, 0)
    assert "over quota" in err
    assert "Quota limit 'TPUV5sLitepodPerProject' exhausted" in err
    assert api.requests.count(CREATE) == 1


@SLOW
def test_node_not_found(api, launch):
    """The request is active, and its node is not there: no ssh, and nothing left."""
    api.node_states["run"] = None
    code, _, err = launch("--worker_timeout=2")
    assert code == 1
    assert "1 of 1 workers of run never came up in 2 s (slice/worker): 0/0" in err
    assert api.read_ssh() == []
    assert api.resources == {}


@SLOW
def test_no_such_accelerator_in_the_zone(api, launch):
    api.refusals = [NO_ACCELERATOR]
    code, _, err = launch()
    assert code == 2
    assert "invalid request" in err
    assert api.requests.count(CREATE) == 1


@SLOW
def test_refused_for_capacity_once(api, launch):
    api.refusals = [CAPACITY]
    code, out, err = launch()
    assert (err, code) == ("", 0)
    assert "no capacity" in out
    assert (api.requests.count(CREATE), api.resources) == (2, {})


@SLOW
def test_four_workers_beside_an_agent_with_another_key(api, launch, foreign_agent):
    code, _, err = launch(*ON_FOUR)
    assert (err, code) == ("", 0)
    starts = sorted(path.name for path in api.root.glob("starts-run:*"))
    assert starts == [f"starts-run:0-{worker}" for worker in range(4)]
    assert {call[1] for call in api.read_ssh() if call[0] == "scp"} == set(ALL_FOUR)
    assert api.resources == {}


@SLOW
def test_deletion_fails_once(api, launch):
    api.delete_refusals = [Refusal(409, "ABORTED", "Another operation is in progress.")]
    code, out, err = launch()
    assert (err, code) == ("", 0)
    assert "not deleted (ERROR: (gcloud.compute.tpus.queued-resources.delete) ABORTED: " in out
    assert len([one for one in api.requests if one.startswith("DELETE")]) == 2
    assert api.resources == {}


@SLOW
def test_bucket_that_refuses(api, launch):
    api.play(bucket=[2, "gs://bucket/runs/run refuses this machine's service account"])
    code, _, err = launch()
    assert code == 2
    assert "refuses this machine's service account" in err
    assert not list(api.root.glob("starts-*"))
    assert api.resources == {}


@SLOW
def test_evaluator_on_a_vm(api, launch):
    """It runs beside, ends after training, and has an end of its own."""
    api.play(train=[[1, 0]], evaluate=[1, 0])
    code, out, err = launch("--evaluator=vm", "--service_account=trainer@my-project.example.com")
    assert (err, code) == ("", 0)
    assert "[evaluate] eval.worker start 1 on run-eval:0/0 with cpu" in out
    assert "[evaluate] evaluate ended well" in out
    (body,) = api.compute.created
    assert body["scheduling"]["maxRunDuration"] == {"seconds": str(600 + 14 * 24 * 3600)}
    assert body["scheduling"]["instanceTerminationAction"] == "DELETE"
    assert body["labels"] == {"made-by": "qlae-launch"}
    (account,) = body["serviceAccounts"]
    assert account["email"] == "trainer@my-project.example.com"
    assert account["scopes"] == ["https://www.googleapis.com/auth/cloud-platform"]
    assert api.billed == []


@SLOW
def test_evaluator_refused(api, launch):
    """Training does not depend on it, and says how to evaluate later."""
    api.play(train=[[1, 0]])
    api.compute.refusals = [Refusal(403, "QUOTA_EXCEEDED", "Quota 'N2_CPUS' exceeded. Limit: 0")]
    code, out, err = launch("--evaluator=vm")
    assert (err, code) == ("", 0)
    assert "warning: the evaluator ended, training goes on: cannot create 'run-eval'" in out
    assert "[train] train ended well" in out
    assert (api.compute.created, api.billed) == ([], [])


@SLOW
def test_list_and_delete(api, note, capsys):
    """Only what carries the project's label."""
    place = "/v2/projects/my-project/locations/us-west4-a/queuedResources?queuedResourceId="
    instances = "/compute/v1/projects/my-project/zones/us-west4-a/instances"
    for name, labels in (("others", {}), ("run", {"made-by": "qlae-launch"})):
        node = {"acceleratorType": "v5litepod-1", "labels": labels}
        api.answer("POST", f"{place}{name}", {"tpu": {"nodeSpec": [{"node": node}]}})
        machine = {"name": f"{name}-eval", "machineType": "zones/z/n2", "labels": labels}
        api.answer("POST", instances, machine)
    where = ("--project=my-project", "--zone=us-west4-a")
    assert command.main(["--list", *where]) == 0
    listed = "run  v5litepod-1  WAITING_FOR_RESOURCES\nrun-eval  n2  RUNNING\n"
    assert capsys.readouterr().out == listed
    code = command.main(["--delete", *where])
    note(code)
    assert code == 0
    assert capsys.readouterr().out == f"{listed}deleted run\ndeleted run-eval\n"
    assert api.billed == ["others", "others-eval"]
