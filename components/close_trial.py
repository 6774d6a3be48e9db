"""The component of `nephrite close-trial`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def close_trial(params: str) -> dsl.ContainerSpec:
    """Close what the trial left open in MLflow, however the run ended."""
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "close-trial"], args=["--params-text", params])
