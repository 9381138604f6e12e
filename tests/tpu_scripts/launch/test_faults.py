"""Each line of the table of faults has words of its own that it is there for."""

import re

import pytest

from qlae.common.errors import RunFailed, StorageError, UserError
from tpu_scripts.launch.faults import SIGNS, Fault, classify, make_final_error

_GCLOUD = "ERROR: (gcloud.compute.tpus.queued-resources.describe) "
# One for each sign, in the table's order.
EXAMPLES = (
    "gcloud crashed (ConnectionError): NameResolutionError: Failed to resolve 'tpu.googleapis.com'",
    "Unable to connect to the server: dial tcp 1.2.3.4:443: i/o timeout",
    "OSError: [Errno 101] Network is unreachable",
    "ERROR: gcloud crashed (ConnectionError): ('Connection aborted.', RemoteDisconnected())",
    "ERROR: gcloud crashed (ConnectionError): Max retries exceeded with url: /v2/projects",
    "There was a problem refreshing your current auth tokens: HTTPSConnectionPool(host='oauth2"
    ".googleapis.com', port=443)\nPlease run:\n\n  $ gcloud auth login",
    f"{_GCLOUD}PERMISSION_DENIED: Permission 'tpu.queuedResources.get' denied",
    f"{_GCLOUD}You do not currently have an active account selected.\nPlease run:\n\n  $ gcloud "
    "auth login\n\nto obtain new credentials.",
    "Request had insufficient authentication scopes.",
    "Cloud TPU API has not been used in project 12 before or it is disabled.",
    "Quota limit 'TPUV6EPerProjectPerZone' has been hit. status: RESOURCE_EXHAUSTED",
    "Quota 'TPUV5sLitepodPerProject' exhausted. Limit 16 in zone us-west4-a",
    f"{_GCLOUD}ALREADY_EXISTS: Resource 'run' already exists",
    "Accelerator v5litepod-1 was not found in zone us-west4-b",
    f"{_GCLOUD}INVALID_ARGUMENT: Runtime version v9 does not exist",
    "ERROR: (gcloud.compute.tpus.queued-resources.create) unrecognized arguments: --sport",
    f"{_GCLOUD}NOT_FOUND: Resource 'projects/p/locations/z/queuedResources/run' was not found. "
    "This command is authenticated as me@example.com",
    'There is no more capacity in the zone "us-west4-a"; you can try in another zone [8]',
    "RESOURCE_EXHAUSTED",
    "code: ZONE_RESOURCE_POOL_EXHAUSTED",
    f"{_GCLOUD}UNAVAILABLE: The service is currently unavailable.",
    "HttpError accessing: response 502",
)


@pytest.mark.parametrize(("sign", "example"), zip(SIGNS, EXAMPLES, strict=True))
def test_each_sign_has_its_words(sign, example):
    assert classify(example) is sign.fault
    assert re.search(sign.words, example.lower())
    assert sign.source


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("Insufficient reserved capacity. Contact customer support [EID: 0x7adf503]", "CAPACITY"),
        ("Quota 'N2_CPUS' exceeded. Limit: 8.0 in region us-west4.", "QUOTA"),
        ("NOT_FOUND: x. This command is unauthenticated because the property is True", "ABSENT"),
        ('Error from server (NotFound): jobsets.jobset.x-k8s.io "run" not found', "ABSENT"),
        ("no answer in 180 s", "NETWORK"),
        ("something new", "UNKNOWN"),
    ],
)
def test_faults_are_told_apart(message, fault):
    assert classify(message) is Fault[fault]


def test_what_is_final_tells_the_exit_code():
    assert isinstance(make_final_error("x", EXAMPLES[6]), UserError)
    assert isinstance(make_final_error("x", EXAMPLES[0]), StorageError)
    assert isinstance(make_final_error("x", "something new"), RunFailed)
