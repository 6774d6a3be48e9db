"""What `nephrite-pipeline` refuses, each in one line: place, finding, remedy; the command exits with 2.

The package's errors look the same; they are written again here, since a face never imports the package.
"""

from __future__ import annotations

from pathlib import Path


class PipelineError(Exception):
    """A finding about the user's input or surroundings, said in one line.

    Args:
        place: the file, option or service concerned.
        finding: the value found and the rule that it breaks.
        remedy: what the user can do about it, as an imperative.
    """

    def __init__(self, place: str | Path, finding: str, remedy: str) -> None:
        super().__init__(place, finding, remedy)
        self.place, self.finding, self.remedy = str(place), finding, remedy

    def __str__(self) -> str:
        return " ".join(f"{self.place}: {self.finding}; {self.remedy}".split())


class ExperimentError(PipelineError):
    """Settings that the package refuses, or that cannot become a run on a cluster."""


class ClusterError(PipelineError):
    """Cluster settings that are unknown, of the wrong type, or that do not fit the experiment."""


class ServerError(PipelineError):
    """Kubeflow's server does not answer, or refuses."""
