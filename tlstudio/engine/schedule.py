"""The schedule of the learning rate: a pure function of the step and of what was measured so far, without torch.

The window draws it before a run, and a run that is resumed computes it anew: nothing has to be remembered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tlstudio.api.config import OptimConfig

_RISE = 0.3  # of one cycle: the share of the steps in which the rate rises,
_BEGIN = 1.0 / 25.0  # the factor it rises from,
_END = _BEGIN / 1e4  # and the one it falls to
_STEPS_DOWN = 3  # the parts of a run that the step schedule makes by itself
_LEAST_GAIN = 1e-4  # the share by which a loss must fall to count as lower


def schedule_factor(
    config: OptimConfig, step: int, steps: int, steps_per_epoch: int, history: Sequence[Mapping[str, float]] = ()
) -> float:
    """What the learning rate is multiplied by in one step: a linear warm-up, then what the schedule says.

    One cycle has its rise in place of the warm-up: along half a cosine up from 1/25, and along another down to almost zero
    (Smith 2018, A disciplined approach to neural network hyper-parameters; the shape is that of torch's ``OneCycleLR``).

    Args:
        config: the schedule and its settings.
        step: optimiser step, from 0.
        steps: of the whole run.
        steps_per_epoch: of one epoch.
        history: the metrics of every epoch that has ended, the oldest first; the plateau schedule looks at ``loss``.
    """
    if config.schedule == "one_cycle":
        return _one_cycle(step, steps, config.warmup_steps or _RISE * steps - 1.0)
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    done = min(1.0, (step - config.warmup_steps) / max(1, steps - config.warmup_steps))
    match config.schedule:
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * done))
        case "linear":
            return 1.0 - done
        case "step":
            length = config.step_epochs or math.ceil(steps / steps_per_epoch / _STEPS_DOWN)
            return config.decay_factor ** (step // steps_per_epoch // length)
        case "plateau":
            return config.decay_factor ** plateaus([metrics["loss"] for metrics in history], config.plateau_patience)
        case "constant":
            return 1.0


def plateaus(losses: Sequence[float], patience: int) -> int:
    """How often the loss has failed to fall for more than ``patience`` epochs, counted anew each time.

    Lower means by more than a ten-thousandth, as torch's ``ReduceLROnPlateau`` has it.
    """
    best, waited, count = math.inf, 0, 0
    for loss in losses:
        if loss < best * (1.0 - _LEAST_GAIN):
            best, waited = loss, 0
        else:
            waited += 1
        if waited > patience:
            count, waited = count + 1, 0
    return count


def _one_cycle(step: int, steps: int, peak: float) -> float:
    if step <= peak:
        return _between(_BEGIN, 1.0, step / max(peak, 1e-9))
    return _between(1.0, _END, min(1.0, (step - peak) / max(1e-9, steps - 1 - peak)))


def _between(begin: float, end: float, share: float) -> float:
    """Along half a cosine from one value to another."""
    return end + (begin - end) * 0.5 * (1.0 + math.cos(math.pi * share))
