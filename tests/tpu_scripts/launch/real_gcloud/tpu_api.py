"""The Cloud TPU and Compute services played on loopback, for the real gcloud.

Queued resources wait, become active after a few looks, are lost, and are deleted; their nodes name
addresses 127.TENS.NODE.WORKER, by which the ssh stub finds the worker's home directory.
"""

import contextlib
import http.server
import json
import pathlib
import re
import socket
import threading
import urllib.parse

from tests.tpu_scripts.launch.real_gcloud.compute_api import ComputeApi
from tests.tpu_scripts.launch.real_gcloud.services import Refusal, kill_workers, remove_machine

HOSTS = {"v5litepod-1": 1, "v5litepod-4": 1, "v5litepod-16": 4}
_PLACE = r"projects/[^/]+/locations/[^/]+"


class TpuApi:
    """What is there, what happens to it, and what was asked.

    Attributes:
        root: `machines/NAME/SLICE-WORKER` are the workers' home directories.
        requests: method and path of each request, in order.
        refusals: what the next requests to create are refused with; None lets one through.
        states: of each creation in turn, what the looks see one after the other; the last stays.
        failure: message of a request in state FAILED.
        delete_refusals: likewise, for deletions.
        is_away: whether no request gets an answer: its connection breaks.
        node_states: state of a node by its name; None is one that is not found.
        compute: the Compute service's part.
    """

    def __init__(self, root: pathlib.Path):
        self.root = root
        (root / "machines").mkdir(parents=True, exist_ok=True)
        self.requests: list[str] = []
        self.created: list[dict] = []
        self.resources: dict[str, dict] = {}
        self.refusals: list[Refusal | None] = []
        self.states: list[list[str]] = []
        self.failure = "There is no more capacity in the zone"
        self.delete_refusals: list[Refusal] = []
        self.is_away = False
        self.node_states: dict[str, str | None] = {}
        self._lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.compute = ComputeApi(root, self.url)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @contextlib.contextmanager
    def serve(self):
        """Answers while the block runs."""
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            for name in self.billed:
                remove_machine(self.root / "machines" / name)

    @property
    def billed(self) -> list[str]:
        """Names of all that costs money now."""
        return [*self.resources, *self.compute.instances]

    def read_ssh(self) -> list[list[str]]:
        """Returns every ssh and scp that reached a stub: program, worker, arguments."""
        path = self.root / "ssh.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def lose(self, name: str, state: str) -> None:
        """Puts a queued resource into a state for good, and ends its workers."""
        with self._lock:
            self.resources[name]["looks"] = [state]
            kill_workers(self.root / "machines" / name)

    def end(self, name: str) -> None:
        """Removes a queued resource and its workers."""
        with self._lock:
            self.resources.pop(name, None)
            remove_machine(self.root / "machines" / name)

    def answer(self, method: str, url: str, body: dict) -> dict:
        """Answers one request."""
        path = urllib.parse.urlsplit(url).path
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
        with self._lock:
            if self.is_away:
                raise ConnectionError
            self.requests.append(f"{method} {path}")
            routes: tuple = (
                ("GET", rf"/v2/({_PLACE})/operations/(.*)", self._finish),
                ("POST", rf"/v2/({_PLACE})/queuedResources", self._create),
                ("GET", rf"/v2/({_PLACE})/queuedResources", self._list),
                ("GET", rf"/v2/({_PLACE})/queuedResources/(.+)", self._look),
                ("DELETE", rf"/v2/({_PLACE})/queuedResources/(.+)", self._delete),
                ("GET", rf"/v2/({_PLACE})/nodes/([^:]+)", self._get_node),
                ("PATCH", rf"/v2/({_PLACE})/nodes/([^:]+)", self._update_node),
                ("POST", rf"/v2/({_PLACE})/nodes/(.+):getGuestAttributes", self._tell_attributes),
                *self.compute.routes,
            )
            for verb, pattern, act in routes:
                if verb == method and (match := re.fullmatch(pattern, path)):
                    return act(*match.groups(), body=body, query=query)
        raise Refusal(404, "NOT_FOUND", f"Resource '{path}' was not found")

    def _finish(self, place, what, body, query):
        response = {"name": f"{place}/{what}"}
        return {"name": f"{place}/operations/{what}", "done": True, "response": response}

    def _create(self, place, body, query):
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal:
            raise refusal
        (name,) = query["queuedResourceId"]
        if name in self.resources:
            raise Refusal(409, "ALREADY_EXISTS", f"Resource '{name}' already exists")
        number = len(self.created)
        looks = ["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]
        if self.states:
            looks = list(self.states[min(number, len(self.states) - 1)])
        self.created.append(body)
        (spec,) = body["tpu"]["nodeSpec"]
        slices = spec.get("multisliceParams", {}).get("nodeCount", 1)
        hosts = HOSTS[spec["node"]["acceleratorType"]]
        for node in range(slices):
            for worker in range(hosts):
                (self.root / "machines" / name / f"{node}-{worker}").mkdir(parents=True)
        self.resources[name] = {**body, "looks": looks, "hosts": hosts, "slices": slices}
        return {"name": f"{place}/operations/create", "done": True}

    def _list(self, place, body, query):
        return {"queuedResources": [self._describe(place, name) for name in self.resources]}

    def _look(self, place, name, body, query):
        if name not in self.resources:
            raise Refusal(404, "NOT_FOUND", f"Resource '{place}/queuedResources/{name}' not found")
        answer = self._describe(place, name)
        looks = self.resources[name]["looks"]
        if len(looks) > 1:
            looks.pop(0)
        return answer

    def _describe(self, place, name):
        one = self.resources[name]
        state = {"state": one["looks"][0]}
        if state["state"] == "FAILED":
            state["failedData"] = {"error": {"code": 8, "message": self.failure}}
        return {"name": f"{place}/queuedResources/{name}", "state": state, "tpu": one["tpu"]}

    def _delete(self, place, name, body, query):
        if self.delete_refusals:
            raise self.delete_refusals.pop(0)
        if name not in self.resources:
            raise Refusal(404, "NOT_FOUND", f"Resource '{place}/queuedResources/{name}' not found")
        self.end(name)
        return {"name": f"{place}/operations/delete", "done": True}

    def _find_node(self, node):
        """Returns the queued resource of a node, and the node's number."""
        for name, one in self.resources.items():
            nodes = [name] if one["slices"] == 1 else [f"{name}-{i}" for i in range(one["slices"])]
            if node in nodes and self.node_states.get(node, "READY") is not None:
                return name, nodes.index(node)
        raise Refusal(404, "NOT_FOUND", f"Resource 'nodes/{node}' was not found")

    def _get_node(self, place, node, body, query):
        name, number = self._find_node(node)
        tens = 10 + list(self.resources).index(name)
        (self.root / f"address-{tens}").write_text(name)
        endpoints = [
            {"ipAddress": f"10.0.0.{i}", "accessConfig": {"externalIp": f"127.{tens}.{number}.{i}"}}
            for i in range(self.resources[name]["hosts"])
        ]
        return {
            "name": f"{place}/nodes/{node}",
            "id": "7",
            "state": self.node_states.get(node, "READY"),
            "apiVersion": "V2",
            "networkEndpoints": endpoints,
            "metadata": self.resources[name].get("keys", {}),
        }

    def _update_node(self, place, node, body, query):
        self.resources[self._find_node(node)[0]]["keys"] = body["metadata"]
        return {"name": f"{place}/operations/nodes/{node}", "done": True}

    def _tell_attributes(self, place, node, body, query):
        workers = body.get("workerIds") or ["0"]
        item = {"namespace": "hostkeys", "key": "ssh-ed25519", "value": "AAAA000000"}
        return {"guestAttributes": [{"queryValue": {"items": [item]}} for _ in workers]}


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], api: TpuApi):
        super().__init__(address, _Handler)
        self.api = api


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def _handle(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(size) or b"{}")
        try:
            code, answer = 200, self.server.api.answer(self.command, self.path, body)
        except ConnectionError:  # No network: whoever asks sees the connection break.
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        except Refusal as refusal:
            code = refusal.code
            error = {"code": code, "status": refusal.status, "message": str(refusal)}
            answer = {"error": error}
        content = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = do_PATCH = _handle

    def log_message(self, format, *arguments) -> None:
        pass
