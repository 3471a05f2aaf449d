"""The base class of every emitted module: an ordinary ``torch.nn.Module`` with the model's tables behind it.

Emitted code overrides the hooks ``initial``, ``_log_prob``, ``_log_joint``, ``_log_prior``, ``_step``, ``_measure`` and
adds one ``value_NAME`` method per named value (a dot in a name becomes ``__``); everything else is here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .errors import AbiError, InputError, MissingInput, NeedsExamples, NotTrainable, UnknownValue
from .finite import NotFinite, diverged, numbers_failed
from .inputs import check_inputs
from .random import Draw
from .tables import Assert as Assert
from .tables import End as End
from .tables import Input as Input
from .tables import Metric as Metric
from .tables import Slot as Slot
from .tables import did_you_mean
from .values import Values

_DTYPES = {"int": torch.int64, "bool": torch.bool}


class Module(nn.Module):
    """A compiled model.

    Parameters hold the values themselves, shaped by their declared axes, under their spec paths; rules' and model
    states are buffers.  Inputs are batch first, then the declared axes; arrays and lists are accepted.  A model of K
    replicas (`seeds K`) has them as the first axis of all of these and of what it returns; an input without that axis
    is the same for every replica.

    Args:
        seed: key of all random draws, the initial values among them.
        device: where the tensors live.
        dtype: dtype of real tensors.
        examples: N, the number of training examples; needed only when a rule or the objective reads it.

    Raises:
        AbiError: when the emitted tables and the initial values disagree.
    """

    STATE: ClassVar[tuple[Slot, ...]] = ()
    INPUTS: ClassVar[tuple[Input, ...]] = ()
    VALUES: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    OUTPUTS: ClassVar[tuple[str, ...]] = ()
    METRICS: ClassVar[tuple[Metric, ...]] = ()
    PROBES: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    ASSERTS: ClassVar[tuple[Assert, ...]] = ()
    TRAINABLE: ClassVar[bool] = False
    SAMPLES: ClassVar[Mapping[str, str]] = {}  # inputs that can be drawn, in order, and the routine of each
    GIVEN: ClassVar[Mapping[str, str]] = {}  # why other inputs cannot
    REPLICAS: ClassVar[int | None] = None  # of `seeds K`: every slot, input, value and report has them as first axis
    LINES: ClassVar[Mapping[int, str]] = {}  # line of the emitted file -> place in the spec (for error messages)

    def __init__(
        self,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        examples: int | None = None,
    ) -> None:
        super().__init__()
        if not dtype.is_floating_point:
            raise InputError(f"dtype must be a real one such as torch.float32, not {dtype}")
        self._seed = seed
        self._steps = 0
        self._examples = examples
        self._home: dict[str, tuple[dict[str, Any], str]] = {}  # path -> (the dict of nn.Module that holds it, key)
        with torch.no_grad():
            values = self.initial(Draw(seed, replicas=self.REPLICAS))
        self._check_initial(values)
        for slot in self.STATE:
            kind = _DTYPES.get(slot.dtype, dtype)
            self._place(slot, values[slot.path].detach().to(device=device, dtype=kind).clone().contiguous())
        if all(slot.dtype != "real" for slot in self.STATE):  # something must follow .to(device, dtype)
            self.register_buffer("_default", torch.empty((), dtype=dtype, device=device), persistent=False)

    # hooks that emitted code overrides

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """Initial values (float64) of every slot."""
        return {}

    def _log_prob(self, v: Values) -> Tensor:
        """Likelihood terms per example [batch]."""
        raise InputError(f"{type(self).__name__} has no likelihood term")

    def _log_joint(self, v: Values) -> Tensor:
        """All density terms per example [batch], priors of parameters excluded."""
        raise InputError(f"{type(self).__name__} has no density statement")

    def _log_prior(self) -> Tensor:
        """Log density of the parameters, a scalar."""
        return torch.zeros((), dtype=self.dtype, device=self.device)

    def _step(self, *inputs: Tensor) -> dict[str, Tensor]:
        """One learn step in place on the inputs in the order of ``INPUTS``; runs under no_grad."""
        raise NotTrainable(f"{type(self).__name__} has no learn step")

    def _terms(self, v: Values) -> dict[str, Tensor]:
        """Every density statement per example [batch] (or a scalar, where it counts once) and every prior, by its text."""
        return {}

    def _measure(self, v: Values) -> dict[str, Tensor]:
        """The statistics of ``METRICS`` [batch, ..] and the probes' batch means; runs under no_grad."""
        return {}

    def _check(self, v: Values) -> dict[str, Tensor]:
        """The operands of ``ASSERTS``; runs under no_grad."""
        return {}

    # what callers use

    @property
    def seed(self) -> int:
        """Key of all random draws."""
        return self._seed

    @seed.setter
    def seed(self, value: int) -> None:
        """Key later draws otherwise; initial values stay those of the seed that the module was made with."""
        self._seed = value

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of every replica (of a model without replicas: its own)."""
        return tuple(range(self._seed, self._seed + (self.REPLICAS or 1)))

    @property
    def batch_dim(self) -> int:
        """Which dimension of an input is the batch: 1 behind replicas, else 0."""
        return 0 if self.REPLICAS is None else 1

    @property
    def t(self) -> int:
        """Number of learn steps done."""
        return self._steps

    @t.setter
    def t(self, value: int) -> None:
        self._steps = int(value)

    @property
    def examples(self) -> int:
        """N, the number of training examples.

        Raises:
            NeedsExamples: when it was never given.
        """
        if self._examples is None:
            raise NeedsExamples(
                f"the objective of {type(self).__name__} divides the prior by N, the number of training examples: "
                "pass examples=... to load()"
            )
        return self._examples

    @examples.setter
    def examples(self, value: int | None) -> None:
        self._examples = value

    @property
    def dtype(self) -> torch.dtype:
        """dtype of real tensors."""
        return self._reference().dtype

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self._reference().device

    def forward(self, **inputs: object) -> Values:
        """The outputs that the given inputs determine; autograd works through them.

        Raises:
            InputError: an input that does not fit its declaration.
            MissingInput: when not even one output can be computed.
        """
        values = self._values(self.checked(inputs))
        keys: list[str] = []
        missing: MissingInput | None = None
        for name in self.OUTPUTS:
            try:
                _ = values[name]
            except MissingInput as error:
                missing = missing or error
            else:
                keys.append(name)
        if missing is not None and not keys and inputs:
            raise missing
        return values.show(tuple(keys))

    def log_prob(self, **inputs: object) -> Tensor:
        """Likelihood terms per example [batch]."""
        return self._log_prob(self._values(self.checked(inputs)))

    def log_joint(self, **inputs: object) -> Tensor:
        """Everything in the objective per example [batch], priors of parameters excluded."""
        return self._log_joint(self._values(self.checked(inputs)))

    def log_prior(self) -> Tensor:
        """Log density of the parameters, a scalar."""
        return self._log_prior()

    def step(self, **inputs: object) -> dict[str, Tensor]:
        """One learn step in place; returns 0-dim tensors, at least ``nll`` and ``objective`` before the step.

        Raises:
            NotTrainable: the model has no learn step.
            NeedsExamples: N is read but was not given.
            Diverged: the objective or a gradient is NaN or infinite; nothing was changed.
            RunFailed: a number of the run (an argument of a rule, say) cannot be computed at this step.
        """
        if not self.TRAINABLE:
            raise NotTrainable(f"{type(self).__name__} has no learn step: add a `learn` block to the spec")
        batch = self.checked(inputs, every=True)
        if batch and not next(iter(batch.values())).shape[self.batch_dim]:
            raise InputError("a learn step needs at least one example; the batch is empty")
        return self.advance(batch)

    def measure(self, **inputs: object) -> dict[str, Tensor]:
        """What the metrics are made of, and the probes' batch means, with ``training`` = 0.

        A statistic is an array, batch first; those of one metric have one shape (see :mod:`.metrics`).
        """
        return self.examine(self.checked(inputs))

    # the same for tensors that were checked before (the trainer's loop)

    def checked(self, inputs: Mapping[str, object], *, every: bool = False) -> dict[str, Tensor]:
        """Inputs as tensors of this module's dtype and device, see :func:`.inputs.check_inputs`."""
        return check_inputs(self.INPUTS, inputs, self.dtype, self.device, every=every, replicas=self.REPLICAS)

    def advance(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """:meth:`step` without checks; the batch holds every input."""
        with torch.no_grad(), self._mode(True):
            try:
                stats = self._step(*(batch[spec.name] for spec in self.INPUTS))
            except NotFinite as stopped:
                raise diverged(self, batch, stopped) from None
            except (ArithmeticError, ValueError) as error:
                raise numbers_failed(self, error) from error
        self._steps += 1
        return stats

    def examine(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """:meth:`measure` without checks."""
        with torch.no_grad(), self._mode(False):
            return self._measure(self._values(batch))

    def compared(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the assertions compare on a checked batch, with ``training`` = 0."""
        with torch.no_grad(), self._mode(False):
            return self._check(self._values(batch))

    def terms(self, values: Values) -> dict[str, Tensor]:
        """Log densities, one by one: of every statement per example [batch], of every prior, keyed by text and line."""
        return self._terms(values)

    def state(self, path: str) -> Tensor:
        """The live tensor of any slot: a parameter, a rule's state or a model state.

        Raises:
            UnknownValue: when there is no such path.
        """
        found = self._home.get(path)
        if found is None:
            raise UnknownValue(f"{type(self).__name__} has no state `{path}`{did_you_mean(path, self._home)}")
        return found[0][found[1]]

    def compute(self, name: str, values: Values) -> Tensor:
        """A named value; called by :class:`.values.Values`, which keeps the result."""
        if name in self.VALUES:
            return getattr(self, "value_" + name.replace(".", "__"))(values)
        inputs = {spec.name: spec for spec in self.INPUTS}
        if name in inputs:
            raise MissingInput(
                f"the input `{name}` is needed but was not given: pass {name}=... as {inputs[name].declared()}", name
            )
        known = [*self.VALUES, *inputs]
        raise UnknownValue(
            f"{type(self).__name__} has no value `{name}`{did_you_mean(name, known)} (values: {', '.join(known)})"
        )

    def get_extra_state(self) -> Tensor:
        """The step counter, so that ``state_dict()`` is complete."""
        return torch.tensor(self._steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the step counter."""
        self._steps = int(state)

    def _values(self, batch: Mapping[str, Tensor]) -> Values:
        return Values(self, batch, self.batch_dim)

    # construction

    def _check_initial(self, values: Mapping[str, Tensor]) -> None:
        name = type(self).__name__
        paths = [slot.path for slot in self.STATE]
        if sorted(values) != sorted(paths):
            odd = ", ".join(sorted(set(values) ^ set(paths)))
            raise AbiError(f"emitted module {name}: initial values and the state table differ in {odd}")
        for slot in self.STATE:
            got = tuple(values[slot.path].shape)
            if got != slot.shape:
                raise AbiError(
                    f"emitted module {name}: `{slot.path}` starts with shape {got}, its table says {slot.shape}"
                )

    def _place(self, slot: Slot, value: Tensor) -> None:
        """Store a slot under its path; written past ``register_*`` so that a path may equal a method's name."""
        owner: nn.Module = self
        *parts, leaf = slot.path.split(".")
        for part in parts:
            child = owner._modules.get(part)
            if child is None:
                child = owner._modules[part] = nn.Module()
            owner = child
        if slot.role == "param":
            owner._parameters[leaf] = nn.Parameter(value, requires_grad=value.is_floating_point() and not slot.frozen)
            self._home[slot.path] = (owner._parameters, leaf)
        else:
            owner._buffers[leaf] = value
            self._home[slot.path] = (owner._buffers, leaf)

    def _reference(self) -> Tensor:
        for holder, key in self._home.values():
            if holder[key].is_floating_point():
                return holder[key]
        return self.get_buffer("_default")

    @contextmanager
    def _mode(self, training: bool) -> Generator[None]:
        """The language's ``training`` for the time of a call."""
        before = self.training
        self.training = training
        try:
            yield
        finally:
            self.training = before
