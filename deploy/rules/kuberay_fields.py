"""Names of the fields of a RayCluster, at the levels where a wrong one would be dropped without a word.

Taken from KubeRay's CRD, ray.io/v1 (`ray.io_rayclusters.yaml` of its main branch, August 2026), and Kubernetes' pods in
it. Names only: whether a field wants a number, and what is below those not named here, the API server says.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from search.file.yaml12 import Place


@dataclass(frozen=True)
class Level:
    """names: of the fields here. below: those with a level of their own; of a list, that of each item."""

    names: frozenset[str]
    below: Mapping[str, "Level"] = field(default_factory=dict)


def _level(names: str, **below: Level) -> Level:
    return Level(frozenset(names.split()) | below.keys(), below)


_CONTEXT = _level(
    "allowPrivilegeEscalation appArmorProfile privileged procMount readOnlyRootFilesystem runAsGroup runAsNonRoot "
    "runAsUser seLinuxOptions seccompProfile windowsOptions",
    capabilities=_level("add drop"),
)
_POD_CONTEXT = _level(
    "appArmorProfile fsGroup fsGroupChangePolicy runAsGroup runAsNonRoot runAsUser seLinuxChangePolicy seLinuxOptions "
    "seccompProfile supplementalGroups supplementalGroupsPolicy sysctls windowsOptions"
)
_CONTAINER = _level(
    "args command envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe resizePolicy "
    "restartPolicy restartPolicyRules startupProbe stdin stdinOnce terminationMessagePath terminationMessagePolicy tty "
    "volumeDevices volumeMounts workingDir",
    env=_level("name value valueFrom"),
    resources=_level("claims limits requests"),
    securityContext=_CONTEXT,
)
_TEMPLATE = _level(
    "metadata",
    spec=_level(
        "activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks "
        "ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride "
        "imagePullSecrets nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates "
        "resourceClaims resources restartPolicy runtimeClassName schedulerName schedulingGates schedulingGroup "
        "serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain "
        "terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes",
        containers=_CONTAINER,
        initContainers=_CONTAINER,
        securityContext=_POD_CONTEXT,
    ),
)
RAY_CLUSTER = _level(
    "apiVersion kind metadata status",
    spec=_level(
        "enableInTreeAutoscaling gcsFaultToleranceOptions headServiceAnnotations historyServerOptions managedBy "
        "networkPolicy rayVersion suspend tlsOptions upgradeStrategy",
        authOptions=_level("enableK8sTokenAuth mode secretName"),
        autoscalerOptions=_level(
            "args command env envFrom idleTimeoutSeconds image imagePullPolicy resources upscalingMode version "
            "volumeMounts",
            securityContext=_CONTEXT,
        ),
        headGroupSpec=_level(
            "enableIngress headService ingressOptions labels rayStartParams resources serviceType",
            template=_TEMPLATE,
        ),
        workerGroupSpecs=_level(
            "groupName idleTimeoutSeconds labels maxReplicas minReplicas numOfHosts priority rayStartParams replicas "
            "resources scaleStrategy suspend",
            template=_TEMPLATE,
        ),
    ),
)


def unknown_fields(
    value: Any, level: Level = RAY_CLUSTER, place: Place = ()
) -> Iterator[tuple[Place, list[str]]]:
    """Where a field has a name that the schema does not know, and the names that it knows there."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from unknown_fields(item, level, (*place, i))
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in level.names:
                yield (*place, str(name)), sorted(level.names)
            elif name in level.below:
                yield from unknown_fields(inner, level.below[name], (*place, name))
