"""What every section of a search file is."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A strict model: no unknown field, no other type, nothing infinite."""

    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, frozen=True, revalidate_instances="always"
    )
