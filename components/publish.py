"""The component of `nephrite publish`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def publish(params: str, lineage: str, data: dsl.Input[dsl.Dataset], page: dsl.Output[dsl.HTML]) -> dsl.ContainerSpec:
    """Push a folder as a DVC version to the remote that the settings name."""
    args = [
        "--params-text", params, "--lineage", lineage, "--data", data.path, "--page", page.path,
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "publish"], args=args)
