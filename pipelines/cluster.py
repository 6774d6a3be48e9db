"""What the steps ask of the cluster, as data: one YAML file per kind of cluster, validated whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from kubernetes.utils.quantity import parse_quantity
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from nephrite_kubeflow.errors import ClusterError

STEPS = (
    "acquire",
    "prepare",
    "train_gan",
    "synthesize",
    "screen",
    "train_segmenter",
    "evaluate",
    "order",
    "report",
    "promote",
    "publish",
    "close_trial",
    "predict",
)
TRAINING_STEPS = ("train_gan", "screen", "train_segmenter")  # 'screen' trains the segmenter that it measures with
DAY = 24 * 60 * 60  # seconds
CLUSTER_FILE = Path(__file__).with_name("cluster.yaml")


def _positive_quantity(text: str) -> str:
    try:
        amount = parse_quantity(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a quantity of Kubernetes, e.g. '500m' or '4Gi'") from None
    if amount <= 0:
        raise ValueError(f"{text!r} is not above zero")
    return text


Quantity = Annotated[str, AfterValidator(_positive_quantity)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]


class Settings(BaseModel):
    """A section of the file: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Amount(Settings):
    """A request and its limit."""

    request: Quantity
    limit: Quantity

    @model_validator(mode="after")
    def _request_within_limit(self) -> Self:
        if parse_quantity(self.request) > parse_quantity(self.limit):
            raise ValueError(f"request {self.request} is above limit {self.limit}")
        return self


class Accelerator(Settings):
    """Devices of one kind; request and limit are the same, as Kubernetes demands."""

    type: str = Field(pattern=r"^[a-z0-9.-]+/[a-zA-Z0-9._-]+$", description="Resource name, e.g. nvidia.com/gpu.")
    count: int = Field(ge=1)


class Toleration(Settings):
    """A taint that the pod accepts."""

    key: str
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    @model_validator(mode="after")
    def _exists_has_no_value(self) -> Self:
        if (self.operator == "Exists") != (self.value is None):
            raise ValueError("operator 'Equal' needs a value, and 'Exists' takes none")
        return self


class Retries(Settings):
    """How often a failed pod starts again, and within which time.

    The window is Argo's `maxDuration` (argo-workflows, workflow/controller/operator.go, processNodeRetries): it begins
    with the start of the first attempt, waits for a node included. After it nothing is tried again, and a retry that
    still runs at its end is stopped. So it must hold the whole step, with all its attempts.
    """

    count: int = Field(ge=0)
    wait_seconds: int = Field(ge=0, description="Before the first retry.")
    factor: int = Field(ge=1, description="Each wait is so many times the one before; Argo takes whole numbers alone.")
    window_days: int = Field(ge=1, le=365, description="From the first attempt's start to the last one's end.")

    @model_validator(mode="after")
    def _waits_within_window(self) -> Self:
        waits = sum(self.wait_seconds * self.factor**retry for retry in range(self.count))
        if waits >= self.window_days * DAY:
            raise ValueError(f"the waits take {waits} seconds, and window_days ends after {self.window_days * DAY}")
        return self


class Step(Settings):
    """What one step asks for."""

    cpu: Amount
    memory: Amount
    retries: Retries
    scratch: Quantity = Field(description="Size of the writable /tmp.")
    shared_memory: Quantity | None = Field(description="Size of /dev/shm, which loader processes need; none: default.")
    accelerator: Accelerator | None = None
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()


class Secret(Settings):
    """The secret whose keys become variables of the same names in every step."""

    name: Name
    keys: tuple[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")], ...] = Field(min_length=1)


class Checkpoints(Settings):
    """The volume that keeps training states, so that an evicted pod goes on where it stopped."""

    claim: Name
    path: str = Field(pattern=r"^/[a-z][a-z0-9/_-]*$")


class Workspace(Settings):
    """A volume that Kubeflow makes for each run, for large data instead of artifacts, and removes after it."""

    size: Quantity = Field(pattern=r"^[1-9][0-9]*(\.[0-9]+)?([KMGTPE]i?)?$", description="E.g. '200Gi'.")
    storage_class: Name | None = Field(default=None, description="None: Kubeflow's default, or the cluster's.")
    access_modes: tuple[Literal["ReadWriteMany", "ReadWriteOnce"], ...] = Field(
        default=("ReadWriteMany",), min_length=1, description="ReadWriteOnce: pods of one node only."
    )


class Cluster(Settings):
    """The whole file; `steps` hold what differs from `default`, section by section."""

    secret: Secret
    checkpoints: Checkpoints
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"]
    image_pull_secret: Name | None = None
    user: int = Field(ge=1, description="Numeric id of the image's user; never root.")
    parallelism: int = Field(
        ge=1, description="Trainings at a time, of arms without fakes and again of painters with their arms."
    )
    images: dict[str, str] = Field(
        default={}, description="Segmenter to the image that its arms run in: this project's, with a program in it."
    )
    workspace: Workspace | None = None
    steps: dict[Literal[STEPS], Step]  # type: ignore[valid-type] # one list of the steps, not two

    @field_validator("workspace")
    @classmethod
    def _workspace_within_reach(cls, workspace: Workspace | None, known: ValidationInfo) -> Workspace | None:
        if workspace and "ReadWriteMany" not in workspace.access_modes and known.data.get("parallelism", 1) > 1:
            rule = "access_modes lacks 'ReadWriteMany', which arms on several nodes need"
            raise ValueError(f"{rule}; a cluster of one node can do without, with parallelism 1")
        return workspace

    @property
    def has_gpu(self) -> bool:
        """Whether a step asks for an accelerator."""
        return any(step.accelerator for step in self.steps.values())


class _Loader(yaml.SafeLoader):
    """PyYAML's, but a key that stands twice is refused: the second would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in first:
                raise yaml.YAMLError(f"'{key.value}' stands in line {first[key.value]} and again in line {line}")
            first[key.value] = line
        return super().construct_mapping(node, deep)


def load_cluster(path: Path) -> Cluster:
    """Read and validate a cluster file.

    Raises:
        ClusterError: the file is missing or wrong; names key, value and rule.
    """
    # a mapping of sections, read from the file
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise ClusterError(path, "is missing", f"start from {CLUSTER_FILE.name} beside the pipeline") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClusterError(path, f"is not readable YAML ({error})", "mend the file") from None
    if not isinstance(content, dict):
        raise ClusterError(path, "holds no sections", f"start from {CLUSTER_FILE.name} beside the pipeline")
    try:
        # its values; only the first error is shown
        return Cluster.model_validate(_whole_steps(path, content))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if part != "[key]")
        raise ClusterError(f"{path}: {key}", first["msg"].removeprefix("Value error, "), "change the value") from None


def _whole_steps(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Every step with all its sections: its own where it has them, else those of `default`."""
    default, own = content.pop("default", None), content.pop("steps", None) or {}
    if not isinstance(default, Mapping) or not isinstance(own, Mapping):
        raise ClusterError(path, "'default' and 'steps' are no sections", "give 'default' cpu, memory and retries")
    unknown = sorted(map(str, set(own) - set(STEPS)))
    if unknown:
        raise ClusterError(f"{path}: steps.{unknown[0]}", "is no step", f"choose from {', '.join(STEPS)}")
    return {**content, "steps": {step: {**default, **(own.get(step) or {})} for step in STEPS}}
