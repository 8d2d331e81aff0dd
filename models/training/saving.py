"""The state of a stage in training, and how it gets into a checkpoint and out of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from t2av_bench.errors import TrainingError, UsageError
from t2av_bench.models.training import checkpoints
from t2av_bench.models.training.config import StageConfig
from t2av_bench.models.training.stages.base import Stage

if TYPE_CHECKING:
    from accelerate import Accelerator

FINAL = "final"


@dataclass
class Progress:
    """Everything that changes while a stage trains, besides the random generators.

    Attributes
    ----------
    stage, wrapped
        The stage, and what accelerate made of it.
    names, parameters
        What learns, in one order.
    optimizer, schedule, average
        AdamW, warm-up and cosine, and the moving average of the parameters (None without one).
    step
        Updates done.
    """

    stage: Stage
    wrapped: nn.Module
    names: list[str]
    parameters: list[nn.Parameter]
    optimizer: Any
    schedule: Any
    average: Any
    scaler: Any
    step: int = 0

    @classmethod
    def start(cls, stage: Stage, settings: StageConfig, accelerator: Accelerator) -> Progress:
        """Set up a stage's optimiser, schedule and average."""
        from diffusers.optimization import get_cosine_schedule_with_warmup
        from diffusers.training_utils import EMAModel

        named = stage.trained_parameters()
        names, parameters = list(named), list(named.values())
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in named.items():
            groups.setdefault(stage.learning_rate_factor(name), []).append(parameter)
        optimizer = torch.optim.AdamW(
            [{"params": members, "lr": settings.learning_rate * factor} for factor, members in groups.items()],
            weight_decay=settings.weight_decay,
            betas=(0.9, settings.beta2),
        )
        schedule = get_cosine_schedule_with_warmup(optimizer, settings.warmup_steps, settings.steps)
        wrapped, prepared = accelerator.prepare(stage, optimizer)
        average = EMAModel(parameters, decay=settings.ema_decay) if settings.ema_decay > 0 else None
        return cls(stage, wrapped, names, parameters, prepared, schedule, average, accelerator.scaler)

    def advance(self) -> None:
        """Make the update that the gradients ask for."""
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        if self.average is not None:
            self.average.step(self.parameters)
        self.step += 1

    def rate(self) -> float:
        """Return the learning rate of the next update."""
        return float(self.schedule.get_last_lr()[0])

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Use the averaged parameters for a while, in modules that do not learn meanwhile."""
        own = [parameter.detach().clone() for parameter in self.parameters]
        modes = {name: part.training for name, part in self.stage.trained_parts().items()}
        self.use_average()
        self.stage.eval()
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(self.parameters, own, strict=True):
                    parameter.copy_(value)
            self.stage.train()
            for name, part in self.stage.parts.items():
                part.train(modes.get(name, False))

    def use_average(self) -> None:
        """Replace the parameters by their averages, if there are any."""
        if self.average is not None:
            self.average.copy_to(self.parameters)


def save_checkpoint(folder: Path, progress: Progress, config: dict[str, Any], accelerator: Accelerator) -> None:
    """Write the checkpoint of the current step and remove older ones than the last two."""
    path = checkpoints.checkpoint_path(folder, progress.step)
    chance = _gathered_chance(accelerator)
    if accelerator.is_main_process:
        checkpoints.write_folder(path, lambda target: _write(target, progress, config, chance))
        checkpoints.forget_old(folder)
    accelerator.wait_for_everyone()


def load_checkpoint(path: Path, progress: Progress, config: dict[str, Any], accelerator: Accelerator) -> None:
    """Put a stage back to where a checkpoint was written.

    Raises
    ------
    UsageError
        If the configuration is another one.
    TrainingError
        If the checkpoint is damaged or of other parameters.
    """
    state = checkpoints.read_state(path)
    check_config(path / "config.yaml", config)
    _copy(checkpoints.read_weights(path / "weights.safetensors"), progress.names, progress.parameters, path)
    if progress.average is not None:
        shadows = progress.average.shadow_params
        _copy(checkpoints.read_weights(path / "ema.safetensors"), progress.names, shadows, path)
    rest = checkpoints.read_torch(path / "training.pt")
    try:
        _restore(progress, rest, state, accelerator.process_index)
    except Exception as error:  # whatever torch and the random generators make of other content
        raise TrainingError(
            f"{path}: is no checkpoint of this training ({type(error).__name__}: {error}); delete it to go on from an"
            " earlier one"
        ) from error


def _restore(progress: Progress, rest: dict[str, Any], state: dict[str, Any], process: int) -> None:
    progress.optimizer.load_state_dict(rest["optimizer"])
    progress.schedule.load_state_dict(rest["schedule"])
    if progress.average is not None:
        progress.average.optimization_step = rest["average_step"]
    if progress.scaler is not None and rest["scaler"] is not None:
        progress.scaler.load_state_dict(rest["scaler"])
    chance = rest["chance"]
    if process < len(chance):
        checkpoints.restore_random_states(chance[process])
    progress.step = int(state["step"])


def save_final(folder: Path, stage: Stage, config: dict[str, Any], accelerator: Accelerator) -> None:
    """Write the trained parts, one safetensors file each."""

    def write(target: Path) -> None:
        from safetensors.torch import save_file

        for name, part in stage.trained_parts().items():
            save_file({k: v.detach().cpu().contiguous().clone() for k, v in part.state_dict().items()},
                      target / f"{name}.safetensors")  # fmt: skip
        _write_config(target, config)

    if accelerator.is_main_process:
        checkpoints.write_folder(folder / FINAL, write)
    accelerator.wait_for_everyone()


def load_final(folder: Path, parts: dict[str, nn.Module]) -> None:
    """Load the parts that a finished stage has written into modules of the same names; others are left alone.

    Raises
    ------
    TrainingError
        If the weights do not fit.
    """
    for path in sorted((folder / FINAL).glob("*.safetensors")):
        if path.stem not in parts:
            continue
        try:
            parts[path.stem].load_state_dict(checkpoints.read_weights(path))
        except RuntimeError as error:
            raise TrainingError(f"{path}: does not fit the model of this configuration ({error})") from error


def is_finished(folder: Path) -> bool:
    """Whether a stage has run to its end."""
    return (folder / FINAL).is_dir()


def check_config(path: Path, config: dict[str, Any]) -> None:
    """Compare the configuration beside some weights with the current one.

    Raises
    ------
    UsageError
        Naming the first setting that differs.
    """
    import yaml

    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise TrainingError(f"{path}: cannot be read ({error})") from error
    there, here = _flat(written), _flat(config)
    for key in sorted(there.keys() | here.keys()):
        if there.get(key) != here.get(key):
            raise UsageError(
                f"{key} is {here.get(key)!r}, but {path.parent} was trained with {there.get(key)!r}; resume with the"
                " same settings or choose another --output."
            )


def _write(target: Path, progress: Progress, config: dict[str, Any], chance: list[dict[str, Any]]) -> None:
    from safetensors.torch import save_file

    save_file(_named(progress.names, progress.parameters), target / "weights.safetensors")
    if progress.average is not None:
        save_file(_named(progress.names, progress.average.shadow_params), target / "ema.safetensors")
    rest = {
        "optimizer": progress.optimizer.state_dict(),
        "schedule": progress.schedule.state_dict(),
        "average_step": progress.average.optimization_step if progress.average is not None else 0,
        "scaler": progress.scaler.state_dict() if progress.scaler is not None else None,
        "chance": chance,
    }
    torch.save(rest, target / "training.pt")
    state = {"stage": progress.stage.name, "step": progress.step}
    (target / "state.json").write_text(json.dumps(state), encoding="utf-8")
    _write_config(target, config)


def _write_config(target: Path, config: dict[str, Any]) -> None:
    import yaml

    (target / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _gathered_chance(accelerator: Accelerator) -> list[dict[str, Any]]:
    """Return the random generators' states of all processes."""
    from accelerate.utils import gather_object

    states: list[dict[str, Any]] = gather_object([checkpoints.random_states()])
    return states if accelerator.num_processes > 1 else states[:1]


def _named(names: list[str], tensors: list[Any]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in zip(names, tensors, strict=True)}


def _copy(weights: dict[str, torch.Tensor], names: list[str], targets: list[Any], path: Path) -> None:
    if set(weights) != set(names):
        odd = sorted(set(weights) ^ set(names))
        raise TrainingError(f"{path}: holds other parameters than this stage trains; {len(odd)} differ, e.g. {odd[0]}")
    with torch.no_grad():
        for name, target in zip(names, targets, strict=True):
            if weights[name].shape != target.shape:
                raise TrainingError(f"{path}: {name} has shape {tuple(weights[name].shape)}, not {tuple(target.shape)}")
            target.copy_(weights[name])


def _flat(values: Any, where: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {where: values}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{where}.{key}" if where else str(key))
    return flat
