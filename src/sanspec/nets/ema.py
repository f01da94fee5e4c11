"""The moving average of a network's weights, which is what is validated, kept and sampled from."""

import copy

import torch
from torch import nn


class Average:
    """Exponential moving average of the weights; buffers are copied, not averaged (running variances do not
    average).

    The decay is warmed up as min(decay, (step + 1) / (step + 10)), so that the first weights are soon
    forgotten.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model, self.decay = copy.deepcopy(model).eval().requires_grad_(False), decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after `step` (counted from 0)."""
        share = 1 - min(self.decay, (step + 1) / (step + 10))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), share)
        for own, other in zip(self.model.buffers(), model.buffers()):
            own.copy_(other)
