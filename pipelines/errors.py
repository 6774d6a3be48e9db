"""Errors of `nephrite-pipeline` beside wrong settings: one line each; the command exits with 2."""

from __future__ import annotations

from nephrite.errors import NephriteError


class PipelineError(NephriteError):
    """Something that cannot become a run on a cluster."""


class ExperimentError(PipelineError):
    """Settings or options that are valid on one machine, but not on a cluster."""


class ClusterError(PipelineError):
    """Cluster settings that are unknown, of the wrong type, or that do not fit the experiment."""


class ServerError(PipelineError):
    """Kubeflow's server does not answer, or refuses."""
