"""The component of `nephrite acquire`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def acquire(params: str, lineage: str, raw: dsl.Output[dsl.Dataset], page: dsl.Output[dsl.HTML]) -> dsl.ContainerSpec:
    """Bring the raw volumes that the settings name."""
    args = [
        "--params-text", params, "--lineage", lineage, "--raw", raw.path, "--page", page.path,
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "acquire"], args=args)
