"""One training loop for all networks.

A step is a function of (seed, network, step): which galaxies it takes, their symmetries, the noise, the dropout. A
training that is killed and resumed from its last checkpoint therefore reproduces the same numbers. Each of several
processes takes its rows of every batch (`parallel`); the first one validates and writes.
"""

import contextlib
import copy
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from sanspec.config import NetworkSettings, Train
from sanspec.errors import SanspecError
from sanspec.nets import checkpoint, parallel
from sanspec.nets.checkpoint import Progress
from sanspec.nets.data import Galaxies, augment, rows_of_step, seed_of

log = logging.getLogger(__name__)

VALID_BATCH = 256
CLIP = 1.0  # maximum norm of the gradient
TERMINATED = 143  # exit status of a process terminated by SIGTERM
Score = Callable[[nn.Module], dict[str, float]]  # further scores of a network at a validation


class Average:
    """Exponential moving average of a network's weights: what is validated, kept and sampled from.

    Buffers are copied, because running variances do not average. The decay is warmed up as
    min(decay, (step + 1) / (step + 10)), so that the initial weights are soon forgotten.
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

    def copied(self) -> dict[str, Tensor]:
        """A copy of its weights and buffers."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}


def rate_at(step: int, settings: NetworkSettings) -> float:
    """Learning rate of a step: linear warm-up, then constant or half a cosine to 0."""
    rise = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    fall = 0.5 * (1 + math.cos(math.pi * step / settings.steps)) if settings.schedule == "cosine" else 1.0
    return settings.rate * rise * fall


def optimiser_of(model: nn.Module, settings: NetworkSettings) -> torch.optim.Optimizer:
    """Adam or AdamW over all weights."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimiser]
    betas, decay = (0.9, settings.beta2), settings.weight_decay
    return kind(model.parameters(), lr=settings.rate, betas=betas, weight_decay=decay, fused=True)


@contextlib.contextmanager
def on_sigterm() -> Iterator[list]:
    """A list that SIGTERM appends to, so that the current step can be completed."""
    arrived: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: arrived.append(number))
    try:
        yield arrived
    finally:
        signal.signal(signal.SIGTERM, before)


class Trainer:
    """Training of a network, from its initial weights to those with the best validation metric."""

    def __init__(
        self,
        name: str,
        model: nn.Module,
        train: Train,
        galaxies: Galaxies,
        valid: Galaxies,
        identity: dict,
        score: Score | None = None,
    ):
        """identity: settings and data that a resumed training must share. score: returns further scores of the
        averaged network, added to those of its own `validate`.
        """
        self.name, self.train, self.galaxies, self.score = name, train, galaxies, score
        self.settings: NetworkSettings = getattr(train, name)
        self.device = galaxies.images.device
        self.model, self.identity = model.to(self.device), identity
        self.loss = parallel.loss_of(self.model, train.compile and self.device.type == "cuda")
        self.batch_size = parallel.batch_size(self.settings.batch, len(galaxies))
        self.average = Average(self.model, self.settings.ema)
        self.optimiser = optimiser_of(self.model, self.settings)
        self.best = self.average.copied()
        self.valid = [valid.take(rows) for rows in torch.arange(len(valid)).split(VALID_BATCH)]
        self.progress, self.writer = Progress(), None

    @property
    def metric(self) -> str:
        """Name of the score that chooses the weights."""
        return self.settings.metric.removeprefix("-") or self.model.metric

    def run(self, state: Path | None = None, writer=None) -> nn.Module:
        """Train; return the network with its best weights.

        state: file to resume from and to write checkpoints to. writer: of TensorBoard.
        """
        self.writer = writer
        if state is not None and state.exists():
            self.restore(state)
        with on_sigterm() as stop:
            self._loop(state, stop)
        self.average.model.load_state_dict(self.best)
        return self.average.model

    def _loop(self, state: Path | None, stop: list) -> None:
        progress, saved = self.progress, time.monotonic()
        start = time.monotonic() - progress.seconds
        steps, quiet = self.settings.steps, parallel.rank() > 0
        bar = tqdm(
            total=steps, initial=progress.step, desc=self.name, mininterval=2.0, unit="step", disable=quiet
        )
        while progress.step < steps and not self.exhausted():
            self.step(progress.step)
            progress.step += 1
            progress.seconds = time.monotonic() - start
            bar.update()
            if progress.step % self.train.log_every == 0:
                self.record()
            if progress.step % self.train.valid_every == 0 or progress.step == steps:
                self.validate()
            stopping = bool(parallel.mean(torch.tensor(float(bool(stop)))) > 0)  # on any rank
            if state is not None and (stopping or time.monotonic() - saved > self.train.checkpoint):
                self.store(state)
                saved = time.monotonic()
            if stopping:
                rest = "resume with the same command" if state else "lost, because no --state was given"
                log.warning("%s: SIGTERM at step %d; %s", self.name, progress.step, rest)
                raise SystemExit(TERMINATED)
        bar.close()
        self.record()

    def step(self, step: int) -> None:
        """One step of the optimiser."""
        torch.manual_seed(seed_of(self.train.seed, self.name, step))
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(step, self.settings)
        batch = self.batch(step)
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.train.precision == "bf16"):
            loss = self.loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.progress.pending.append((step, parallel.mean(loss).clone(), norm))
        if self.device.type == "cpu":
            self.guard()
        self.optimiser.step()
        self.average.update(self.model, step)

    def rows(self, step: int) -> Tensor:
        """Rows of the whole batch of a step, on the host."""
        seed = seed_of(self.train.seed, self.name)
        return rows_of_step(len(self.galaxies), self.batch_size, seed, step)

    def batch(self, step: int) -> Galaxies:
        """This process's galaxies of a step, with their images augmented."""
        seed = seed_of(self.train.seed, self.name)
        generator = torch.Generator().manual_seed(seed_of(seed, "augment", step))
        own = self.galaxies.take(parallel.rows(self.rows(step)))
        return augment(own, self.train.symmetries, self.train.crop, generator)

    def guard(self) -> None:
        """Raise SanspecError if a loss or gradient since the last record is not finite, naming step and galaxies."""
        for step, loss, norm in self.progress.pending:
            if not (math.isfinite(float(loss)) and math.isfinite(float(norm))):
                values = f"loss {float(loss):g}, gradient norm {float(norm):g}"
                raise SanspecError(f"{self.name}: {values} at step {step}; {self._blame(step)}")

    def _blame(self, step: int) -> str:
        """Cause and remedy of a step that is not finite: galaxies of its batch, or divergence."""
        batch = self.galaxies.take(self.rows(step))
        ids = batch.specobjid.tolist()
        parts = [part for part in (batch.images, batch.coarse, batch.fine) if part is not None]
        finite = torch.stack([part.isfinite().flatten(1).all(1) for part in parts]).all(0).tolist()
        bad = [number for number, good in zip(ids, finite) if not good]
        if bad:
            return f"its batch holds NaN or infinity in specobjid {bad[:3]}: prepare again"
        rate = f"train.{self.name}.rate={self.settings.rate:g}"
        return f"its batch (specobjid {ids[0]} and {len(ids) - 1} more) is finite: diverged; lower {rate}"

    def record(self) -> None:
        """Add the means since the last record to the learning curve and to TensorBoard."""
        if not self.progress.pending:
            return
        self.guard()
        steps, losses, norms = zip(*self.progress.pending)
        point = {
            "step": self.progress.step,
            "loss": sum(map(float, losses)) / len(steps),
            "norm": sum(map(float, norms)) / len(steps),
            "rate": rate_at(steps[-1], self.settings),
        }
        self.progress.pending.clear()
        for key, value in point.items():
            self.progress.curve[key].append(value)
        self._plot("train", point)

    def validate(self) -> None:
        """Score the averaged weights on the validation galaxies; keep the weights with the best metric.

        Raises SanspecError when the chosen metric is none of the scores.
        """
        scores = parallel.of_first(self.scores() if parallel.rank() == 0 else None)
        if self.metric not in scores:
            key = f"train.{self.name}.metric={self.settings.metric!r}"
            raise SanspecError(f"config: {key}; allowed: {', '.join(scores)}; with '-' if larger is better")
        progress, value = self.progress, scores[self.metric]
        value = -value if self.settings.metric.startswith("-") else value
        point = {"step": progress.step, **scores}
        progress.valid.append(point)
        self._plot("valid", point)
        progress.waited += 1
        if value < progress.best_value or progress.best_step < 0:
            progress.best_value, progress.best_step, progress.waited = value, progress.step, 0
            progress.best_value = value if math.isfinite(value) else math.inf
            self.best = self.average.copied()
        said = ", ".join(f"{key} {scores[key]:.5g}" for key in scores)
        log.info("%s: step %d: %s", self.name, progress.step, said)

    def scores(self) -> dict[str, float]:
        """All scores of the averaged weights; the random state is preserved."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices=devices), parallel.alone():
            further = self.score(self.average.model) if self.score else {}
            return self.average.model.validate(self.valid) | further

    def exhausted(self) -> bool:
        """Whether the metric has not improved for `patience` validations."""
        return 0 < self.settings.patience <= self.progress.waited

    def store(self, path: Path) -> None:
        """Write all that a resumed training needs; the first process writes."""
        self.guard()
        if parallel.rank() == 0:
            checkpoint.write(path, self)

    def restore(self, path: Path) -> None:
        """Continue from a stored state. Raises SanspecError if it is of other settings or data."""
        checkpoint.read(path, self)
        log.info("%s: resumed at step %d", self.name, self.progress.step)

    def _plot(self, group: str, point: dict) -> None:
        """Write one point of each curve to TensorBoard."""
        for key, value in point.items():
            if self.writer is not None and key != "step":
                self.writer.add_scalar(f"{group}/{key}", value, point["step"])
