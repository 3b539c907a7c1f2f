"""`[local_response.pager]`: staff paging, as the hub uses it. Loaded only where it is set up."""

from __future__ import annotations

from typing import Annotated

from config.local_response import Template, checked_template
from drivers.espa.pager_settings import PagerSettings
from ground.models import Field, field_validator


class PagingSettings(PagerSettings):
    """`[local_response.pager]`: staff paging through ESPA 4.4.4."""

    template: Template = "{class} {device}"
    """Display text. Places: {device}, {class}, {why}, {time}; what a device is called is said in `names`."""
    repeat_s: Annotated[float, Field(ge=5, le=3600)] = 60.0
    """A call that nobody has answered is paged again after so long."""
    repeats: Annotated[int, Field(ge=0, le=100)] = 5
    """How often it is paged again at most."""

    @field_validator("template")
    @classmethod
    def _check_template(cls, value: str) -> str:
        return checked_template(value)
