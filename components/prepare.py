"""The component of `nephrite prepare`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def prepare(
    params: str,
    lineage: str,
    raw: dsl.Input[dsl.Dataset],
    pairs: dsl.Output[dsl.Dataset],
    page: dsl.Output[dsl.HTML],
) -> dsl.ContainerSpec:
    """Turn raw volumes into paired slices per patient."""
    args = [
        "--params-text", params, "--lineage", lineage, "--raw", raw.path, "--pairs", pairs.path,
        "--page", page.path,
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "prepare"], args=args)
