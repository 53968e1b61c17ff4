"""What a run costs on a device, by counting: FLOPs, bytes, and the tokens that go through the model.

    forward, a token     2 W_layer L  +  4 T H K L (attention over T tokens)  +  2 D V where an answer is scored
    backward             once more for activations above the lowest layer that is trained, once more for weights that are trained
    time                 FLOPs / (ceiling of the device) + bytes of activations / bandwidth + bytes of weights, once a pass, at the rate at
                         which a product of few rows reads them + new memory / the rate at which the system gives it + a first pass
    memory               weights + adapter and AdamW (16 bytes a parameter, 20 with the best ones kept) + activations of one pass + logits
                         + what layers below the adapter gave for all texts, where the engine keeps it for later passes over the data

Constants that no formula gives (bytes of activations that pass through memory) are named below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from polyprefix.adapters import registry as methods
from polyprefix.config import RunConfig
from polyprefix.engine.flop_counter import forward_flops
from polyprefix.engine.memory import LEAST, MOST, SHARE, values_per_token
from polyprefix.methods.base import Footprint
from polyprefix.models.head import LARGEST
from polyprefix.study.devices import Device
from polyprefix.study.lengths import Lengths, lengths, of_own_task
from polyprefix.study.shapes import meta_model, norm_width, parameters, shape
from polyprefix.tasks import registry as tasks
from polyprefix.tasks.base import ENGLISH
from polyprefix.text.prepare import choose_languages
from polyprefix.training import activation_cache
from polyprefix.training.length import Length

TRAFFIC = 34
"""Values of width D that a token moves through memory in one layer and one direction: norms, residuals, rotary, activations."""
WRITTEN = 0.6
"""Share of the allowed tokens that are written before the answers of a batch have ended."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run takes."""

    trained: int
    """Parameters."""
    memory: float
    """Bytes at the peak."""
    train_seconds: float
    """Of optimiser steps alone, as in a result."""
    validation_seconds: float
    eval_seconds: float
    weights: float
    """Bytes of the base model's."""
    optimiser: float
    """Bytes of trained parameters, gradients, moments and the best weights."""
    activations: float
    """Bytes of one training pass at the peak, and of what frozen lower layers gave; gradients that replace them are not counted twice."""
    host: float
    """Bytes of the process on a CPU."""
    evaluation: float
    """Bytes of activations and logits in evaluation."""
    dtype: str
    """In which it computes."""

    @property
    def seconds(self) -> float:
        """Training, validation and evaluation."""
        return self.train_seconds + self.validation_seconds + self.eval_seconds


Known = Callable[[str, str], Lengths | None]
"""(split, language) -> lengths of the prompts there."""


def estimate(config: RunConfig, device: Device, known: Known | None = None) -> Estimate | None:
    """A resolved run on a device; None for a task whose lengths are not known.

    Args:
        known: lengths of the task's prompts; by default those that were measured once for the project's tasks, or of the rows of one's own.

    Raises:
        ModelError: if the model's shape is not known.
    """
    known = known or partial(_lengths, config.model, config.task, config.protocol)
    codes = choose_languages(tasks.get(config.task, config.protocol), config)
    test = [
        replace(
            found, read=min(found.examples, config.test_size(source=code in config.source_languages) or found.examples)
        )
        for code in codes
        if (found := known("test", code))
    ]
    train = _train_lengths(config, known)
    if not test or train is None:
        return None
    return _Counting(config, device, train, test, len(codes)).estimate()


def _lengths(model: str, task: str, protocol: str, split: str, language: str) -> Lengths | None:
    return lengths(model, task, split, language) or of_own_task(model, task, protocol, split, language)


def _train_lengths(config: RunConfig, known: Known) -> Lengths | None:
    """Of the training examples of all source and target languages; English stands for what was not measured."""
    english = known("train", ENGLISH)
    found = [known("train", code) or english for code in config.source_languages]
    if english is None or not found:
        return english
    sizes = [one.examples for one in found if one]
    count = min(sum(sizes), config.train_size or sum(sizes))
    if config.train.meta is None:
        count += len(config.target_languages) * (config.target_size or 0)
    return replace(english, examples=count)


class _Counting:
    def __init__(
        self, config: RunConfig, device: Device, train: Lengths, test: Sequence[Lengths], languages: int
    ) -> None:
        self.config, self.device, self.train, self.test = config, device, train, test
        self.unmeasured = languages / len(test)
        """Languages for each one that was measured; the others are taken to be like those."""
        self.shape, self.parameters = shape(config.model), parameters(config.model)
        self.method = methods.build(config.method)
        self.trained = self.method.parameters(meta_model(config.model)) if config.trains else 0
        self.footprint = self.method.footprint(self.shape.L) if config.trains else Footprint()
        self.whole = self.footprint.trains_base
        half = config.runtime.dtype == "bfloat16" or (config.runtime.dtype == "auto" and device.bfloat16 > 0)
        self.dtype = "bfloat16" if half and not self.whole else "float32"
        self.bytes = 2 if self.dtype == "bfloat16" else 4

    def estimate(self) -> Estimate:
        weights = self.weights()
        optimiser = self.optimiser()
        activations = self.activations() + self.kept() if self.config.trains else 0.0
        evaluation = self.evaluation()
        peak = self.device.host + weights + max(activations + optimiser, evaluation + self.trained * 8.0)
        return Estimate(
            self.trained, peak, self.train_seconds(), self.validation_seconds(), self.eval_seconds(), weights, optimiser,
            activations, self.device.host, evaluation, self.dtype,
        )  # fmt: skip

    def optimiser(self) -> float:
        """Bytes of trained weights, their gradients and two moments, in float32; the weights that are put aside lie with the processor."""
        copies = 4 + (self.device.host > 0) - self.whole  # where all weights are trained, they are the base's
        return 4.0 * copies * self.trained

    def weights(self) -> float:
        matrices = self.shape.layer_weights * self.shape.L
        quantised = {"none": self.bytes, "8bit": 1.0, "4bit": 0.56}[self.config.runtime.quantize]
        return matrices * quantised + (self.parameters - matrices) * self.bytes

    def matrices(self) -> float:
        """Bytes of all layers' weights."""
        return self.weights() - (self.parameters - self.shape.layer_weights * self.shape.L) * self.bytes

    def head(self) -> float:
        """Bytes of the head's."""
        return float(self.shape.D * self.shape.V * self.bytes)

    def budget(self, training: bool) -> float:
        """Tokens of one forward pass at most, as the engine chooses them."""
        wanted = self.config.train.token_budget if training else self.config.eval.token_budget
        if wanted is not None:
            return wanted
        s, recomputed = self.shape, self.config.train.gradient_checkpointing
        values = values_per_token(s, training=training, recomputed=recomputed)
        free = self.free()
        most = MOST["cpu" if self.device.host else "cuda", training]
        return max(LEAST, min(most, SHARE * free / (values * self.bytes)))

    def free(self) -> float:
        """Bytes beside the weights."""
        return max(0.0, self.device.memory - self.device.host - self.weights())

    def pass_tokens(self) -> float:
        """Tokens of the largest training pass."""
        longest = 1.2 * (self.train.prompt - self.train.shared) + self.train.answer
        return min(self.budget(True), self.config.train.batch_size * longest)

    def activations(self) -> float:
        """Bytes of one training pass at its peak: what waits for the backward pass, gradients under way, and the logits of the answers.

        Where one pass makes a step, its gradients come as activations go, so that only what is more than the gradients counts.
        """
        s, own = self.shape, self.train.prompt - self.train.shared
        tokens = self.pass_tokens() + self.train.shared + self.footprint.virtual_tokens * self.footprint.computed
        longest = 1.2 * own + self.train.answer
        columns = longest + self.train.shared + self.footprint.virtual_tokens
        layer = self.stored_layer(columns / longest)
        if self.config.train.gradient_checkpointing:
            kept = self.bytes * s.D * s.L + layer
        else:
            kept = layer * (s.L - self.footprint.lowest_layer)
        kept += self.bytes * 3 * s.I  # the gradients of the MLP under way
        rows = self.pass_tokens() / max(1.0, own)
        logits = rows * self.train.answer * s.V * (self.bytes + 3 * 4)
        found = tokens * (kept + columns * (1 + self.bytes)) + logits
        _, per_step, _ = self.steps()
        once = per_step * longest <= self.budget(True)
        return found - min(found, 4.0 * self.trained) if once else found

    def stored_layer(self, seen: float) -> float:
        """Bytes of one token in one layer that wait for the backward pass.

        Norms keep their input in float32. Attention keeps queries, its output, and keys and values repeated for all query heads. The MLP
        keeps three values of its width. Weights that are not trained need no input.

        Args:
            seen: keys a token of attention's rows, prefix and common prefix among them.
        """
        s = self.shape
        method = self.method.stored_bytes(meta_model(self.config.model), self.bytes) / s.L
        return 4 * norm_width(self.config.model) + self.bytes * (2 * s.H * s.K * (1 + seen) + 3 * s.I) + method

    def evaluation(self) -> float:
        """Bytes of one pass without gradients."""
        s, rows = self.shape, 0.0
        for item in self.test:
            rows = max(rows, self.budget(False) / max(1.0, item.prompt - item.shared))
        rows = min(rows, max(item.read for item in self.test))
        positions = max(1.0, max(i.choice_tokens / max(1, i.choices) for i in self.test))
        logits = min(LARGEST, rows * positions * s.V) * (self.bytes + 4)
        tokens = min(self.budget(False), rows * max(i.prompt for i in self.test))
        return logits + tokens * self.bytes * (4 * s.D + s.attention_width + 3 * s.I)

    def steps(self) -> tuple[int, int, int]:
        """Training examples, how many of them make a step, and steps."""
        c = self.config.train
        count = self.train.examples
        per_step = min(c.batch_size, count)
        return count, per_step, c.total_steps(count)

    def kept(self) -> float:
        """Bytes of what the layers below the lowest adapted one gave for each text; 0 where the engine does not keep it."""
        (count, per_step, steps), wanted = self.steps(), self.config.train.cache_lower_layers
        needed = count * (self.train.prompt - self.train.shared + self.train.answer - 1) * self.shape.D * self.bytes
        pays = steps * per_step > count and self.footprint.lowest_layer >= activation_cache.LEAST_BELOW * self.shape.L
        fits = needed <= activation_cache.SHARE * self.free()
        return needed if self.footprint.lowest_layer and (pays and fits if wanted is None else wanted) else 0.0

    def train_seconds(self) -> float:
        if not self.config.trains:
            return 0.0
        c, t, s = self.config.train, self.train, self.shape
        count, per_step, steps = self.steps()
        length = t.prompt - t.shared + t.answer - 1
        passes = math.ceil(per_step * length / self.budget(True))
        shots = self.config.shots * (t.prompt - t.shared + t.answer)
        tokens = per_step * length + passes * (
            t.shared + shots + self.footprint.virtual_tokens * self.footprint.computed
        )
        backward = (1 + self.whole) * (s.L - self.footprint.lowest_layer) / s.L + (1 if c.gradient_checkpointing else 0)
        seen = t.prompt + shots + self.footprint.virtual_tokens
        spared = self.footprint.lowest_layer / s.L * max(0.0, 1 - count / (steps * per_step)) if self.kept() else 0.0
        flops = tokens * self.layers_flops(seen) * (1 - spared + backward) + per_step * t.answer * 2 * s.D * s.V * (
            2 + self.whole
        )
        moved = (1 - spared + backward) * self.moved(tokens) + 28.0 * self.trained
        read = passes * ((1 - spared + backward) * self.matrices() + (2 + self.whole) * self.head())
        new = 4.0 * self.trained / self.device.fresh  # gradients are given back after each step
        step = flops / self.device.flops(self.dtype) + moved / self.device.bandwidth + self.device.reads(read) + new
        return self.device.start + 8.0 * self.trained / self.device.fresh + (steps + self.meta_rows() / per_step) * step

    def meta_rows(self) -> float:
        """Examples whose gradients meta-learning takes; a product with a Hessian is two gradients."""
        meta = self.config.train.meta
        if meta is None:
            return 0.0
        inner = meta.inner_steps * meta.support_size * (3 if meta.order == "second" else 1)
        return meta.episodes * len(self.config.target_languages) * (inner + meta.query_size * (meta.order != "reptile"))

    def validation_seconds(self) -> float:
        """Every choice is ranked; of a free answer the right one."""
        if not self.config.trains:
            return 0.0
        c, item = self.config.train, self.train
        points = len(Length.of(c, item.examples, c.validation_size).validated)
        points += min(c.validations, c.meta.episodes) if c.meta else 0
        rows = c.validation_size * points
        return self.choose_seconds(rows, item.prompt, item.shared, self.branches(item))

    def branches(self, item: Lengths) -> float:
        """Tokens of all choices that go through the model after the prompt: each but the last one of each choice."""
        return item.choice_tokens - item.choices if item.choices else item.answer - 1

    def eval_seconds(self) -> float:
        total = self.device.start / self.unmeasured
        for item in self.test:
            count = item.read
            shots = self.config.shots * (item.prompt - item.shared + item.answer)
            if item.choices:
                branches = self.branches(item)
                total += self.choose_seconds(
                    count, item.prompt + shots, item.shared + shots, branches, item.saving(count)
                )
            else:
                total += self.write_seconds(count, item, shots)
        return total * self.unmeasured

    def choose_seconds(self, rows: float, prompt: float, shared: float, branches: float, saved: float = 0.0) -> float:
        """Prompts whose choices are ranked: a pass over what they do not share, the head at the end and along the choices.

        `saved` is the share of the prompts' own tokens that stand in front of several of them.
        """
        tokens = rows * ((prompt - shared) * (1 - saved) + branches) + shared
        passes = max(1, tokens / self.budget(False))
        heads = forward_flops(head=self.shape.D * self.shape.V, positions=rows * (1 + branches))
        flops = tokens * self.layers_flops(prompt + self.footprint.virtual_tokens) + heads
        whole_passes = passes + (shared > 0)  # what prompts share is a pass by itself, without the head
        read = self.device.reads(whole_passes * self.matrices() + passes * self.head())
        return flops / self.device.flops(self.dtype) + self.moved(tokens) / self.device.bandwidth + read

    def write_seconds(self, count: float, item: Lengths, shots: float) -> float:
        """Prompts as above; then every further token reads all weights once a batch."""
        length = item.prompt - item.shared + item.new_tokens
        batches = math.ceil(count * length / self.budget(False))
        steps = batches * item.new_tokens * WRITTEN
        rows = count / batches
        s = self.shape
        flops = forward_flops(s.layer_weights * s.L, s.H * s.K, s.D * s.V, tokens=rows, pairs=0, positions=rows)
        cache = rows * item.prompt * 2 * s.G * s.K * s.L * self.bytes
        read = self.device.reads(self.matrices() + self.head())
        one = flops / self.device.flops(self.dtype) + read + cache / self.device.bandwidth
        return steps * one + self.choose_seconds(
            count, item.prompt + shots, item.shared + shots, 0, item.saving(int(count))
        )

    def layers_flops(self, seen: float) -> float:
        """FLOPs of one token in all layers, forward."""
        s = self.shape
        return forward_flops(s.layer_weights * s.L, s.H * s.K, tokens=1, pairs=s.L * seen)

    def moved(self, tokens: float) -> float:
        """Bytes of activations that pass through memory, forward."""
        s = self.shape
        return tokens * s.L * self.bytes * (TRAFFIC * s.D + 2 * s.attention_width + 4 * s.I)
