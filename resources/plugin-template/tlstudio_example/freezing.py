"""A freezing strategy: a pure function from what is known about an epoch to what may learn in it."""

from __future__ import annotations

from pydantic import Field

from tlstudio.api import FreezePlan, Options, PlanContext


class ThawOptions(Options):
    """Each field becomes a form field in the window and a key in the terminal (``freezing.options.head_epochs``)."""

    head_epochs: int = Field(2, ge=0, le=10_000, title="Head epochs", description="Epochs in which only the head learns.")
    factor: float = Field(0.1, gt=0.0, le=1.0, title="Stage factor", description="Then stages learn at this share of the rate.")


def thaw_after(context: PlanContext) -> FreezePlan:
    """Nothing but the head, then everything. It must not remember anything: epoch 5 of a resumed run is asked for alone."""
    options = context.options
    assert isinstance(options, ThawOptions)
    if context.epoch < options.head_epochs:
        return FreezePlan()
    return FreezePlan(lr={stage.name: options.factor for stage in context.stages})
