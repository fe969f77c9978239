"""How many GPUs torch and Ray may see: whole cards, or the devices that MIG makes of one."""

VISIBLE = "CUDA_VISIBLE_DEVICES"


def mig_devices_in(visible: str | None) -> int:
    """How many MIG devices a value of CUDA_VISIBLE_DEVICES names. torch sees but one of them in a process."""
    return sum(name.strip().startswith("MIG-") for name in (visible or "").split(","))
