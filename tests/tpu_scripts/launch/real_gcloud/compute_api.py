"""The part of the Compute service that VMs need, played on loopback for the real gcloud.

A VM runs once it is made; its address 127.100.NUMBER.0 leads the ssh stub to its home directory.
"""

import pathlib

from tests.tpu_scripts.launch.real_gcloud.services import Refusal, remove_machine

_PROJECT = r"/compute/v1/projects/([^/]+)"
_ZONE = rf"{_PROJECT}/zones/([^/]+)"
_TENS = 100


class ComputeApi:
    """What VMs are there, and what was asked for.

    Attributes:
        created: the body of each request to make one.
        instances: those that exist, and cost, by name.
        refusals: what the next requests to make one are refused with.
    """

    def __init__(self, root: pathlib.Path, url: str):
        self.created: list[dict] = []
        self.instances: dict[str, dict] = {}
        self.refusals: list[Refusal] = []
        self._root = root
        self._url = url
        self._keys: dict = {}
        self.routes: tuple = (
            ("GET", _PROJECT, self._get_project),
            ("POST", rf"{_PROJECT}/setCommonInstanceMetadata", self._set_keys),
            ("POST", rf"{_PROJECT}/global/operations/operation/wait", self._finish),
            ("POST", rf"{_ZONE}/operations/operation/wait", self._finish),
            ("GET", _ZONE, self._get_zone),
            ("POST", rf"{_ZONE}/instances", self._insert),
            ("GET", rf"{_ZONE}/instances", self._list),
            ("GET", rf"{_ZONE}/instances/([^/]+)", self._get),
            ("DELETE", rf"{_ZONE}/instances/([^/]+)", self._delete),
        )

    def _finish(self, project, *zone, body, query, target="", kind="update"):
        where = f"{self._url}/compute/v1/projects/{project}"
        scope = f"zones/{zone[0]}" if zone else "global"
        return {
            "kind": "compute#operation",
            "name": "operation",
            "operationType": kind,
            "selfLink": f"{where}/{scope}/operations/operation",
            "targetLink": target or where,
            "status": "DONE",
            **({"zone": f"{where}/{scope}"} if zone else {}),
        }

    def _get_project(self, project, body, query):
        metadata = {"kind": "compute#metadata", **self._keys}
        return {"kind": "compute#project", "name": project, "commonInstanceMetadata": metadata}

    def _set_keys(self, project, body, query):
        self._keys = body
        return self._finish(project, body=body, query=query)

    def _get_zone(self, project, zone, body, query):
        return {"kind": "compute#zone", "name": zone, "status": "UP"}

    def _insert(self, project, zone, body, query):
        if self.refusals:
            raise self.refusals.pop(0)
        name = body["name"]
        self.created.append(body)
        (self._root / "machines" / name / "0-0").mkdir(parents=True)
        (self._root / f"address-{_TENS}").write_text(name)
        where = f"{self._url}/compute/v1/projects/{project}/zones/{zone}"
        link = f"{where}/instances/{name}"
        access = [{"name": "external-nat", "natIP": f"127.{_TENS}.0.0"}]
        self.instances[name] = {
            "kind": "compute#instance",
            "id": "8",
            "name": name,
            "selfLink": link,
            "zone": where,
            "status": "RUNNING",
            "machineType": body["machineType"],
            "labels": body.get("labels", {}),
            "networkInterfaces": [{"networkIP": "10.0.1.0", "accessConfigs": access}],
        }
        return self._finish(project, zone, body=body, query=query, target=link, kind="insert")

    def _list(self, project, zone, body, query):
        return {"items": list(self.instances.values())}

    def _find(self, name):
        if name not in self.instances:
            raise Refusal(404, "NOT_FOUND", f"The resource 'instances/{name}' was not found")
        return self.instances[name]

    def _get(self, project, zone, name, body, query):
        return self._find(name)

    def _delete(self, project, zone, name, body, query):
        link = self._find(name)["selfLink"]
        self.instances.pop(name)
        remove_machine(self._root / "machines" / name)
        return self._finish(project, zone, body=body, query=query, target=link, kind="delete")
