"""The GKE path as pure data: one XPK workload (a JobSet) on a cluster that XPK made.

XPK makes and deletes the workload. It is watched with kubectl, by its exact name and in the context
of its own cluster: XPK's own wait looks for the name as a part of names, in whatever context is
current (xpk 1.16).
"""

import dataclasses

from tpu_scripts.launch.job import Job
from tpu_scripts.launch.patience import Patience
from tpu_scripts.launch.plan import Phase
from tpu_scripts.launch.shell import Command
from tpu_scripts.topologies import Topology

_JOBSET_LABEL = "jobset.sigs.k8s.io/jobset-name"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A GKE cluster made by `xpk cluster create`, and the image that workloads run in.

    With `docker_image`, the image must hold the code and its environment. Without, XPK lays the
    source over `base_docker_image`, and each worker installs from the lock before it starts.

    Attributes:
        location: of the cluster, which XPK puts into the zone's region unless told otherwise.
    """

    name: str
    project: str
    zone: str
    location: str
    docker_image: str | None = None
    base_docker_image: str = "python:3.11"

    @property
    def flags(self) -> Command:
        """The flags every xpk command needs."""
        return (f"--cluster={self.name}", f"--project={self.project}", f"--zone={self.zone}")

    @property
    def credentials(self) -> Command:
        """Writes the cluster's context into kubectl's configuration."""
        get = ("gcloud", "container", "clusters", "get-credentials", self.name)
        return (*get, f"--location={self.location}", f"--project={self.project}", "--quiet")

    @property
    def kubectl(self) -> Command:
        """kubectl in that context, whichever is current."""
        context = f"gke_{self.project}_{self.location}_{self.name}"
        return ("kubectl", f"--context={context}", "--namespace=default")


@dataclasses.dataclass(frozen=True)
class XpkPlan:
    """Every command of one job on a cluster."""

    name: str
    job: Job
    unpack: tuple[Command, ...]  # Lays out the packed source for XPK to put into the image.
    credentials: Command
    create: Command
    look: Command  # Prints the JobSet as JSON.
    pods: Command  # Likewise its pods.
    follow: Command
    delete: Command

    def phases(self, keep: bool) -> list[Phase]:
        """The commands in order, under what they are for."""
        phases: list[Phase] = [
            ("lay out the source for the image", self.unpack),
            ("the cluster's context for kubectl", (self.credentials,)),
            (f"{self.name}: the name must be free", (self.look,)),
            ("create; the JobSet restarts evicted slices", (self.create,)),
            ("follow the log of the first worker, look for the end", (self.follow, self.look)),
            ("ask how it ended on every worker", (self.pods,)),
        ]
        if not keep:
            phases.append(
                ("delete, when interrupted: an ended workload holds no nodes", (self.delete,))
            )
        return phases


def make_xpk_plan(
    cluster: Cluster,
    name: str,
    topology: Topology,
    slices: int,
    job: Job,
    archive: str,
    patience: Patience,
) -> XpkPlan:
    """Lays out one workload. Raises `UserError` for a slice that XPK does not know."""
    directory = archive.removesuffix(".tar.gz")
    unpack: tuple[Command, ...] = ()
    line = f"exec {job.command_line('python')}"  # SIGTERM must reach the program itself.
    image: Command = (f"--docker-image={cluster.docker_image}",)
    if cluster.docker_image is None:
        unpack = (("mkdir", "-p", directory), ("tar", "-xzf", archive, "-C", directory))
        install = "pip install --quiet --no-deps --require-hashes -r"
        line = f"{install} requirements/{job.lock}.lock && {line}"
        image = (f"--base-docker-image={cluster.base_docker_image}", f"--script-dir={directory}")
    first = {
        _JOBSET_LABEL: name,
        "jobset.sigs.k8s.io/job-index": "0",
        "batch.kubernetes.io/job-completion-index": "0",
    }
    selector = ",".join(f"{label}={value}" for label, value in first.items())
    kubectl = cluster.kubectl
    return XpkPlan(
        name=name,
        job=job,
        unpack=unpack,
        credentials=cluster.credentials,
        create=(
            *("xpk", "workload", "create", f"--workload={name}", *cluster.flags),
            *(f"--tpu-type={topology.xpk_type}", f"--num-slices={slices}", *image),
            # XPK restarts 42 and 127 to 255 by itself, which a user's mistake (2) is not.
            *(f"--max-restarts={patience.retries}", "--restart-on-exit-codes=75"),
            f"--command={line}",
        ),
        look=(*kubectl, "get", "jobset", name, "--output=json"),
        pods=(*kubectl, "get", "pods", f"--selector={_JOBSET_LABEL}={name}", "--output=json"),
        follow=(
            *(*kubectl, "logs", "--follow", "--prefix", "--tail=-1", "--all-containers"),
            f"--selector={selector}",
        ),
        delete=(*("xpk", "workload", "delete"), f"--workload={name}", *cluster.flags, "--force"),
    )
