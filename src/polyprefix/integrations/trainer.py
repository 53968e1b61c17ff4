"""transformers' Trainer and TRL's trainers on an adapted model: checkpoints hold the adapter, and training resumes from them.

    trainer = adapter_trainer(Trainer)(model=adapted, args=TrainingArguments(...), train_dataset=..., data_collator=...)
    trainer.train(resume_from_checkpoint=True)

Any trainer takes an adapted model for its forward and backward pass as it is. What is left is saving: a trainer would write the state of the
base model, whose tied weights safetensors refuse, into every checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast

from safetensors.torch import load_file

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.files import save_adapter
from polyprefix.adapters.saved import TENSORS
from polyprefix.errors import AdapterError, ConfigError

ARGUMENTS = "training_args.bin"
"""What transformers calls the file of its arguments in a checkpoint."""
AnyTrainer = TypeVar("AnyTrainer")


class AdapterCheckpoints:
    """Stands in front of a trainer's class: what it saves and loads of its model is the adapter."""

    model: Any
    accelerator: Any
    args: Any
    state: Any
    processing_class: Any

    @property
    def adapted(self) -> AdaptedModel:
        """The adapted model, whatever accelerate made of it."""
        return cast("AdaptedModel", self.accelerator.unwrap_model(self.model))

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """The adapter, the tokenizer and the arguments."""
        import torch

        folder = Path(output_dir or self.args.output_dir)
        save_adapter(self.adapted, folder)
        if self.processing_class is not None:
            self.processing_class.save_pretrained(folder)
        torch.save(self.args, folder / ARGUMENTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The tensors of a checkpoint into the adapter that is trained.

        Raises:
            AdapterError: if there are none, or they are of other settings.
        """
        path = Path(resume_from_checkpoint) / TENSORS
        if not path.is_file():
            raise AdapterError(f"{path}: no such file; resume from a checkpoint that this trainer wrote")
        tensors = {name: tensor.to(self.adapted.device) for name, tensor in load_file(path).items()}
        try:
            self.adapted.adapter.load_tensors(tensors)
        except RuntimeError as error:
            raise AdapterError(
                f"{path}: of an adapter with other settings ({error}); resume with those that wrote it"
            ) from None

    def _load_best_model(self) -> None:
        """The adapter of the best checkpoint."""
        self._load_from_checkpoint(self.state.best_model_checkpoint)


class PlainLoss:
    """Stands in front of TRL's SFTTrainer, whose own loss multiplies the hidden states of `model.base_model` by the head, past the prefix."""

    args: Any

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The model's own negative log-likelihood, which TRL's loss `nll` equals; its metrics of entropy are left out.

        Raises:
            ConfigError: for another loss of TRL.
        """
        from transformers import Trainer

        if (loss := getattr(self.args, "loss_type", "nll")) != "nll":
            raise ConfigError(f"loss_type '{loss}': an adapted model trains with nll under TRL")
        return Trainer.compute_loss(cast("Trainer", self), model, inputs, return_outputs, num_items_in_batch)


def adapter_trainer(kind: type[AnyTrainer]) -> type[AnyTrainer]:
    """The class of a trainer whose checkpoints hold the adapter.

    Args:
        kind: `transformers.Trainer`, or a class made of it, such as `trl.SFTTrainer`.
    """
    supervised = any(parent.__name__ == "SFTTrainer" for parent in kind.__mro__)
    parts: tuple[type, ...] = (*([PlainLoss] if supervised else []), AdapterCheckpoints, kind)
    return cast("type[AnyTrainer]", type(f"Adapter{kind.__name__}", parts, {}))
