"""The component of `nephrite screen`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def screen(  # noqa: PLR0917 - kfp itself calls it by position
    params: str,
    lineage: str,
    painter: str,
    pairs: dsl.Input[dsl.Dataset],
    painted: dsl.Input[dsl.Dataset],
    synthetic: dsl.Output[dsl.Dataset],
    page: dsl.Output[dsl.HTML],
) -> dsl.ContainerSpec:
    """Accept or reject painted slices, and say how faithful and how new they are."""
    args = [
        "--params-text", params, "--lineage", lineage, "--set", f"painter={painter}", "--pairs", pairs.path,
        "--painted", painted.path, "--synthetic", synthetic.path, "--page", page.path,
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "screen"], args=args)
