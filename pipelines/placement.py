"""Applies a cluster file to the tasks of steps: resources, volumes, secrets, variables, retries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from kfp import kubernetes
from kfp.dsl import PipelineTask

from nephrite_kubeflow.cluster import TRAINING_STEPS, Cluster, Step

POD_FIELDS = {
    "NEPHRITE_KUBEFLOW_RUN": "metadata.labels['pipeline/runid']",
    "NEPHRITE_POD": "metadata.name",
    "NEPHRITE_NAMESPACE": "metadata.namespace",
}
SCRATCH, SHARED_MEMORY = "/tmp", "/dev/shm"  # noqa: S108 - paths inside the pod, which nothing else shares
# What these read or change lies outside the pipeline; and by its report a run of it is known to have finished.
UNCACHED = ("acquire", "report", "publish", "promote", "close_trial", "predict")


@dataclass(frozen=True)
class Placement:
    """An image and a cluster file, ready to be put on tasks; `cached` are steps that are cached as an exception."""

    cluster: Cluster
    image: str
    cached: tuple[str, ...] = ()

    def put(
        self, task: PipelineTask, step: str, about: str = "", image: str | None = None, machine: str | None = None
    ) -> PipelineTask:
        """Give a task all that its step needs on the cluster.

        Args:
            task: of the step.
            step: its name in the cluster file.
            about: follows the step's name where it is shown.
            image: that it runs in, if that is not the trial's.
            machine: the step whose machine it gets, if that is not its own.
        """
        # what the step runs
        task.container_spec.args = list(_settled_arguments(task))
        task.set_caching_options(enable_caching=step in self.cached or step not in UNCACHED)
        self._place(task, machine or step, shown_name(step.replace("_", "-"), about), image or self.image)
        # what it may know
        secret = self.cluster.secret
        kubernetes.use_secret_as_env(task, secret.name, {key: key for key in secret.keys})
        for name, field in POD_FIELDS.items():
            kubernetes.use_field_path_as_env(task, name, field)
        # a retried training resumes
        if step in TRAINING_STEPS and machine is None:
            self._set_checkpoints(task)
        return task

    def put_strange(self, task: PipelineTask, step: str, image: str) -> PipelineTask:
        """Give a task of somebody else's image the machine of a step, and neither secrets nor the trainings' volume.

        Args:
            task: that runs a program.
            step: whose machine it gets: of a training, or of predictions.
            image: that it runs in.
        """
        self._place(task, step, shown_name("program", step.replace("_", "-")), image)
        task.set_env_variable("HOME", SCRATCH)  # all that it may write beside its output
        return task

    def _place(self, task: PipelineTask, step: str, shown: str, image: str) -> None:
        """Set where a task runs and what it may use."""
        settings = self.cluster.steps[step]
        task.set_container_image(image).set_display_name(shown)
        _set_resources(task, settings)
        _set_node(task, settings)
        _set_volumes(task, settings)
        kubernetes.set_image_pull_policy(task, self.cluster.image_pull_policy)
        if self.cluster.image_pull_secret:
            kubernetes.set_image_pull_secrets(task, [self.cluster.image_pull_secret])
        kubernetes.set_security_context(task, run_as_user=self.cluster.user, run_as_non_root=True)

    def _set_checkpoints(self, task: PipelineTask) -> None:
        place = self.cluster.checkpoints
        kubernetes.mount_pvc(task, place.claim, place.path)
        task.set_env_variable("NEPHRITE_CHECKPOINTS", place.path)


def shown_name(step: str, about: str) -> str:
    """A name on Kubeflow's page; no slashes, since it becomes a part of the outputs' addresses."""
    return f"{step}-{about}".rstrip("-").replace("/", "-")


def _settled_arguments(task: PipelineTask) -> Iterator[str]:
    """Arguments of the command, those for optional inputs kept or dropped now that it is known which are given.

    Kubeflow would decide at run time, but before release 2.17.1 it takes every optional artifact for absent
    (kubeflow/pipelines#14176).
    """
    for argument in task.container_spec.args:
        if argument.startswith('{"IfPresent"'):
            choice = json.loads(argument)["IfPresent"]
            yield from choice["Then"] if choice["InputName"] in task.inputs else choice.get("Else", ())
        else:
            yield argument


def _set_resources(task: PipelineTask, settings: Step) -> None:
    task.set_cpu_request(settings.cpu.request).set_cpu_limit(settings.cpu.limit)
    task.set_memory_request(settings.memory.request).set_memory_limit(settings.memory.limit)
    if settings.accelerator:
        task.set_accelerator_type(settings.accelerator.type).set_accelerator_limit(settings.accelerator.count)
    retries = settings.retries
    task.set_retry(
        num_retries=retries.count,
        backoff_duration=f"{retries.wait_seconds}s",
        backoff_factor=retries.factor,
        backoff_max_duration=f"{retries.window_days}d",
    )


def _set_node(task: PipelineTask, settings: Step) -> None:
    for label, value in settings.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in settings.tolerations:
        kubernetes.add_toleration(task, **toleration.model_dump())


def _set_volumes(task: PipelineTask, settings: Step) -> None:
    """A writable /tmp, since the root file system is read-only, and room for loader processes."""
    kubernetes.empty_dir_mount(task, "scratch", SCRATCH, size_limit=settings.scratch)
    if settings.shared_memory:
        size = settings.shared_memory
        kubernetes.empty_dir_mount(task, "shared-memory", SHARED_MEMORY, medium="Memory", size_limit=size)
