"""Rules for a manifest with a RayCluster of KubeRay: the same promises as `launcher`, in the words of Kubernetes.

A rule is a function from the manifest's documents to findings, named in RULES. What KubeRay's operator adds by
itself was read in its source (`ray-operator/controllers/ray/common/pod.go`, 1.7).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from deploy.finding import Finding, finding
from deploy.launcher import EVERYWHERE, LOOPBACK, MAX_IDLE_MINUTES, TO_FILL_IN
from deploy.reading import at, walk
from deploy.secret_values import secrets_in
from search.yaml_loader import Document, Place

CLUSTER_LABEL = "ray.io/cluster"

Documents = Sequence[Document]
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
                or place[-1] == "hostPort"
                or (isinstance(value, str) and EVERYWHERE.search(value) is not None)
            )
            if outside:
                message = f"must not open the cluster to the outside, but is {value}"
                remedy = "Take it out and use `kubectl port-forward`"
                yield finding("world-open", document, place, message, remedy)


def network_policy(documents: Documents) -> Iterator[Finding]:
    """Ray's metrics answer without a token and any pod may try the other ports: only the cluster's own may connect."""
    for document in _clusters(documents):
        name = at(document.data, "metadata", "name")
        own = {"matchLabels": {CLUSTER_LABEL: name}}
        policies = [
            each.data["spec"]
            for each in documents
            if each.data.get("kind") == "NetworkPolicy" and at(each.data, "spec", "podSelector") == own
        ]
        sources = [
            source
            for policy in policies
            for ingress in policy.get("ingress") or []
            for source in ingress.get("from") or [None]
        ]
        closed = any("Ingress" in (policy.get("policyTypes") or []) for policy in policies)
        if not closed or any(source != {"podSelector": own} for source in sources):
            message = f"needs a NetworkPolicy that lets only pods with the label {CLUSTER_LABEL}: {name} in"
            remedy = "Write one as in deploy/kuberay.yaml"
            yield finding("network-policy", document, ("metadata", "name"), message, remedy)


def secret(documents: Documents) -> Iterator[Finding]:
    for document in documents:
        if document.data.get("kind") == "Secret":
            message = "a Secret must not stand in a file that is kept in git"
            yield finding("secret", document, ("kind",), message, "Make it with `kubectl create secret`")
        for place, kind in secrets_in(document):
            message = f"must hold no secret, but has {kind}"
            yield finding(
                "secret", document, place, message, "Take it out, make a new one, use `secretKeyRef`"
            )


def least_privilege(documents: Documents) -> Iterator[Finding]:
    """Trials are the user's code: not root, no way to become root, no key to the Kubernetes API on the workers."""
    for document in _clusters(documents):
        for place, pod in _pods(document):
            if at(pod, "securityContext", "runAsNonRoot") is not True:
                message, remedy = "runAsNonRoot must be true", "Write `securityContext: {runAsNonRoot: true}`"
                yield finding("least-privilege", document, (*place, "securityContext"), message, remedy)
            if "workerGroupSpecs" in place and pod.get("automountServiceAccountToken") is not False:
                message = "automountServiceAccountToken must be false: trials need nothing from Kubernetes"
                remedy = "Write `automountServiceAccountToken: false`"
                yield finding("least-privilege", document, (*place, "containers"), message, remedy)
        for place, container in _containers(document):
            context = container.get("securityContext") or {}
            dropped = at(context, "capabilities", "drop") or []
            if (
                context.get("allowPrivilegeEscalation") is not False
                or context.get("privileged")
                or "ALL" not in dropped
            ):
                message = "must give up all privileges"
                remedy = (
                    "Write `securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}`"
                )
                yield finding("least-privilege", document, (*place, "securityContext"), message, remedy)


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
        for place, value in walk(document.data):
            found = TO_FILL_IN.search(value) if isinstance(value, str) else None
            if found:
                message = f"still has {found[0]}, as it was shipped"
                yield finding(
                    "fill-in", document, place, message, "Write your own, as the comment beside it says"
                )


RULES: Mapping[str, Rule] = {
    "token": token,
    "usage-stats": usage_stats,
    "dashboard": dashboard,
    "world-open": world_open,
    "network-policy": network_policy,
    "secret": secret,
    "least-privilege": least_privilege,
    "idle": idle,
    "image": image,
    "fill-in": fill_in,
}


def _clusters(documents: Documents) -> Iterator[Document]:
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
