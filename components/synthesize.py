"""The component of `nephrite synthesize`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def synthesize(  # noqa: PLR0917 - kfp itself calls it by position
    params: str,
    lineage: str,
    painter: str,
    pairs: dsl.Input[dsl.Dataset],
    synthesizer: dsl.Input[dsl.Model],
    painted: dsl.Output[dsl.Dataset],
    page: dsl.Output[dsl.HTML],
) -> dsl.ContainerSpec:
    """Paint synthetic slices from the masks of training patients."""
    args = [
        "--params-text", params, "--lineage", lineage, "--set", f"painter={painter}", "--pairs", pairs.path,
        "--synthesizer", synthesizer.path, "--painted", painted.path, "--page", page.path,
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "synthesize"], args=args)
