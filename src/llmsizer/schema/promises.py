"""What the requests of some traffic are promised, class by class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmsizer.schema.lengths import Lengths
from llmsizer.schema.workload import Targets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Promise:
    """The targets of one class: its ``share`` of the requests, the mean and standard deviation of its prompts in
    tokens, and the ``answers`` with their ``weights``."""

    __slots__ = ("answers", "name", "prompt", "prompt_deviation", "share", "targets", "weights")

    def __init__(self, name: str, share: float, targets: Targets, prompts: Lengths, answers: Lengths) -> None:
        self.name, self.share, self.targets = name, share, targets
        self.prompt = float(prompts.mean())
        self.prompt_deviation = max(float(prompts.second_moment()) - self.prompt**2, 0.0) ** 0.5
        values, weights = answers.support()
        self.answers: NDArray[np.float64] = values
        self.weights: NDArray[np.float64] = weights
