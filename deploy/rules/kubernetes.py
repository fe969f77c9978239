"""Rules for a manifest with a RayCluster of KubeRay: the same promises as `launcher`, in the words of Kubernetes.

A rule is a function from the manifest's documents to findings, named in RULES. What KubeRay's operator adds by
itself was read in its source (`ray-operator/controllers/ray/common/pod.go`, 1.7).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from deploy.reading.documents import ClusterFile, at, walk
from deploy.reading.finding import Finding, finding
from deploy.reading.networks import too_large_a_network
from deploy.rules import launcher
from deploy.rules.kuberay_fields import unknown_fields
from deploy.rules.launcher import LOOPBACK, MAX_IDLE_MINUTES
from search.file.messages import did_you_mean
from search.file.yaml12 import Document, Place

CLUSTER_LABEL = "ray.io/cluster"
OWN_COMMAND = "ray.io/overwrite-container-cmd"  # the operator then starts Ray no more
# Others can open the cluster (Ingress, Route, Service) or give its pods rights (ClusterRoleBinding).
KINDS = (
    "RayCluster",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "ConfigMap",
    "Namespace",
    "ResourceQuota",
    "LimitRange",
)

Documents = Sequence[ClusterFile]
Rule = Callable[[Documents], Iterator[Finding]]


def token(documents: Documents) -> Iterator[Finding]:
    """The operator brings the token to every pod if asked; the mode is written out so that none runs open."""
    for document in _clusters(documents):
        mode = at(document.data, "spec", "authOptions", "mode")
        if mode != "token":
            message = f"must be token, but is {mode or 'missing'}"
            remedy = "Write `authOptions: {mode: token, secretName: ...}`; KubeRay 1.6 or newer"
            yield finding("token", document, ("spec", "authOptions", "mode"), message, remedy)
        for place, container in _containers(document):
            found = _env(container).get("RAY_AUTH_MODE")
            if found != "token":
                message = f"RAY_AUTH_MODE must be token, but is {found or 'missing'}"
                yield finding("token", document, (*place, "env"), message, "Add it to `env`")


def usage_stats(documents: Documents) -> Iterator[Finding]:
    for document in _clusters(documents):
        for place, container in _containers(document):
            if _env(container).get("RAY_USAGE_STATS_ENABLED") != "0":
                message = 'RAY_USAGE_STATS_ENABLED must be "0"'
                yield finding("usage-stats", document, (*place, "env"), message, "Add it to `env`")


def dashboard(documents: Documents) -> Iterator[Finding]:
    """The operator sets 0.0.0.0 where the file is silent."""
    for document in _clusters(documents):
        place = ("spec", "headGroupSpec", "rayStartParams", "dashboard-host")
        host = at(document.data, *place)
        if host not in LOOPBACK:
            message = f"must be 127.0.0.1, but is {host or 'missing, which means 0.0.0.0'}"
            remedy = "Reach the dashboard with `kubectl port-forward`"
            yield finding("dashboard", document, place, message, remedy)


def world_open(documents: Documents) -> Iterator[Finding]:
    """Nothing may lead in from outside the cluster: no load balancer, node port, ingress or host network."""
    for document in documents:
        for place, value in walk(document.data):
            outside = (
                (place[-1] in ("type", "serviceType") and value in ("LoadBalancer", "NodePort"))
                or (place[-1] in ("enableIngress", "hostNetwork") and value is True)
                or place[-1] in ("hostPort", "nodePort", "loadBalancerIP", "ray-debugger-external")
                or not {"externalIPs", "ingressOptions", "ingressRules"}.isdisjoint(map(str, place))
                or (isinstance(value, str) and too_large_a_network(value) is not None)
            )
            if outside:
                message = f"must not open the cluster to the outside, but is {value}"
                remedy = "Take it out and use `kubectl port-forward`"
                yield finding("world-open", document, place, message, remedy)


def kinds(documents: Documents) -> Iterator[Finding]:
    for document in documents:
        kind = document.data.get("kind")
        if kind not in KINDS and kind != "Secret":  # that one has a rule of its own
            message = f"must be one of {', '.join(KINDS)}, but is {kind or 'missing'}"
            yield finding(
                "kinds", document, ("kind",), message, "Keep what is no part of the cluster elsewhere"
            )


def fields(documents: Documents) -> Iterator[Finding]:
    """The operator drops a field whose name is misspelt, and the cluster lacks what it was to do."""
    for document in _clusters(documents):
        for place, known in unknown_fields(document.data):
            message = f"is no field of a RayCluster{did_you_mean(str(place[-1]), known)}"
            remedy = "Correct it; if your operator knows it, add it to deploy/rules/kuberay_fields.py"
            yield finding("fields", document, place, message, remedy)


def network_policy(documents: Documents) -> Iterator[Finding]:
    """Ray's metrics answer without a token and any pod may try the other ports: only the cluster's own may connect.

    Policies add up: what one lets in, no other keeps out. One of another namespace has no effect on the cluster.
    """
    policies = [each for each in documents if each.data.get("kind") == "NetworkPolicy"]
    for document in _clusters(documents):
        own = {"matchLabels": {CLUSTER_LABEL: at(document.data, "metadata", "name")}}
        space = at(document.data, "metadata", "namespace")
        remedy = "Write one as in deploy/kuberay.yaml"
        if not any(
            at(each.data, "spec", "podSelector") == own
            and at(each.data, "metadata", "namespace") == space
            and "Ingress" in _policy_types(each)
            for each in policies
        ):
            label = f"{CLUSTER_LABEL}: {at(document.data, 'metadata', 'name')}"
            message = f"needs a NetworkPolicy in its namespace that lets only pods with the label {label} in"
            yield finding("network-policy", document, ("metadata", "name"), message, remedy)
        for policy in policies:
            for i, ingress in enumerate(at(policy.data, "spec", "ingress") or []):
                sources = at(ingress, "from") or [None]
                if any(source != {"podSelector": own} for source in sources):
                    message = "must let in only the pods of the cluster"
                    yield finding("network-policy", policy, ("spec", "ingress", i), message, remedy)


def _policy_types(policy: Document) -> list[str]:
    return at(policy.data, "spec", "policyTypes") or ["Ingress"]  # so Kubernetes has it


def secret(documents: Documents) -> Iterator[Finding]:
    for document in documents:
        if document.data.get("kind") == "Secret":
            message = "a Secret must not stand in a file that is kept in git"
            yield finding("secret", document, ("kind",), message, "Make it with `kubectl create secret`")
        yield from launcher.secret_findings(document, "Take it out, make a new one, use `secretKeyRef`")


def least_privilege(documents: Documents) -> Iterator[Finding]:
    """Trials are the user's code: not root, no way to become root or to reach the host, no key to the API server."""
    for document in _clusters(documents):
        for place, pod in _pods(document):
            yield from _user(document, place, pod)
            yield from _host_access(document, place, pod)
            for kind in ("containers", "initContainers", "ephemeralContainers"):
                for i, container in enumerate(pod.get(kind) or []):
                    where = (*place, kind, i, "securityContext")
                    yield from _privileges(document, where, container.get("securityContext") or {})
        where = ("spec", "autoscalerOptions", "securityContext")
        context = at(document.data, *where)
        if context:
            yield from _privileges(document, where, context)


def _user(document: Document, place: Place, pod: dict[str, Any]) -> Iterator[Finding]:
    context = pod.get("securityContext") or {}
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
        message, remedy = "runAsNonRoot must be true", "Write `securityContext: {runAsNonRoot: true}`"
        yield finding("least-privilege", document, (*place, "securityContext"), message, remedy)
    if "workerGroupSpecs" in place and pod.get("automountServiceAccountToken") is not False:
        message = "automountServiceAccountToken must be false: trials need nothing from Kubernetes"
        remedy = "Write `automountServiceAccountToken: false`"
        yield finding("least-privilege", document, (*place, "containers"), message, remedy)


def _host_access(document: Document, place: Place, pod: dict[str, Any]) -> Iterator[Finding]:
    for name in ("hostPID", "hostIPC"):
        if pod.get(name):
            message = "must be absent: the pod would see the processes of its machine"
            yield finding("least-privilege", document, (*place, name), message, "Take it out")
    for i, volume in enumerate(pod.get("volumes") or []):
        if "hostPath" in volume:
            message = "must not be a folder of the machine itself"
            where = (*place, "volumes", i, "hostPath")
            yield finding("least-privilege", document, where, message, "Name a PersistentVolumeClaim")


def _privileges(document: Document, place: Place, context: dict[str, Any]) -> Iterator[Finding]:
    if (
        context.get("allowPrivilegeEscalation") is not False
        or context.get("privileged")
        or "ALL" not in (at(context, "capabilities", "drop") or [])
        or at(context, "capabilities", "add")
        or context.get("runAsNonRoot") is False
        or context.get("runAsUser") == 0
        or context.get("procMount", "Default") != "Default"
    ):
        message = "must give up all privileges"
        remedy = "Write `securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}`"
        yield finding("least-privilege", document, place, message, remedy)


def command(documents: Documents) -> Iterator[Finding]:
    """The operator writes the line that starts Ray, from what the rules look at. Of another one nobody knows."""
    for document in _clusters(documents):
        groups: list[Place] = [pod[:-2] for pod, _ in _pods(document)]
        for place in [(), *groups]:
            where = (*place, *(("template",) if place else ()), "metadata", "annotations")
            if OWN_COMMAND in (at(document.data, *where) or {}):
                message = "must be absent: Ray would be started by a command that cannot be checked"
                yield finding("command", document, (*where, OWN_COMMAND), message, "Take it out")
        for place, container in _containers(document):
            for name in ("command", "args"):
                if container.get(name):
                    message = "must be absent: the operator writes the line that starts Ray"
                    yield finding("command", document, (*place, name), message, "Use `rayStartParams`")


def idle(documents: Documents) -> Iterator[Finding]:
    for document in _clusters(documents):
        spec = document.data["spec"]
        if spec.get("enableInTreeAutoscaling") is not True:
            message = "must be true, or workers run until someone deletes them"
            remedy = "Write `enableInTreeAutoscaling: true`"
            yield finding("idle", document, ("spec", "enableInTreeAutoscaling"), message, remedy)
        seconds = at(spec, "autoscalerOptions", "idleTimeoutSeconds")
        if not isinstance(seconds, int) or not 0 < seconds <= 60 * MAX_IDLE_MINUTES:
            message = f"must be from 1 to {60 * MAX_IDLE_MINUTES}, but is {'missing' if seconds is None else seconds}"
            place = ("spec", "autoscalerOptions", "idleTimeoutSeconds")
            yield finding("idle", document, place, message, "Write `idleTimeoutSeconds: 600`")
        for i, group in enumerate(spec.get("workerGroupSpecs") or []):
            if group.get("minReplicas") != 0:
                message = f"must be 0, but is {group.get('minReplicas', 'missing')}"
                where = ("spec", "workerGroupSpecs", i, "minReplicas")
                yield finding("idle", document, where, message, "Write `minReplicas: 0`")


def image(documents: Documents) -> Iterator[Finding]:
    """All nodes must run the same Ray, Python and code: a name that moves does not say which."""
    for document in _clusters(documents):
        for place, container in _containers(document):
            name = str(container.get("image") or "")
            tag = name.rpartition("/")[2].partition(":")[2]
            if tag in ("", "latest"):
                message = f"must name one version, but is {name or 'missing'}"
                yield finding("image", document, (*place, "image"), message, "Add `:TAG`, other than latest")


def fill_in(documents: Documents) -> Iterator[Finding]:
    for document in documents:
        yield from launcher.fill_in(document)


RULES: Mapping[str, Rule] = {
    "token": token,
    "usage-stats": usage_stats,
    "dashboard": dashboard,
    "world-open": world_open,
    "kinds": kinds,
    "fields": fields,
    "network-policy": network_policy,
    "secret": secret,
    "least-privilege": least_privilege,
    "command": command,
    "idle": idle,
    "image": image,
    "fill-in": fill_in,
}


def _clusters(documents: Documents) -> Iterator[ClusterFile]:
    return (document for document in documents if document.data.get("kind") == "RayCluster")


def _pods(document: Document) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The pod specifications of the head and of every group of workers."""
    places: list[Place] = [("spec", "headGroupSpec", "template", "spec")]
    groups = at(document.data, "spec", "workerGroupSpecs") or []
    places += [("spec", "workerGroupSpecs", i, "template", "spec") for i in range(len(groups))]
    for place in places:
        yield place, at(document.data, *place) or {}


def _containers(document: Document) -> Iterator[tuple[Place, dict[str, Any]]]:
    for place, pod in _pods(document):
        for i, container in enumerate(pod.get("containers") or []):
            yield (*place, "containers", i), container


def _env(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value") for entry in container.get("env") or []}
