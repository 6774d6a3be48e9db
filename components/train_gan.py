"""The component of `nephrite train-gan`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def train_gan(  # noqa: PLR0917 - kfp itself calls it by position
    params: str,
    lineage: str,
    painter: str,
    pairs: dsl.Input[dsl.Dataset],
    synthesizer: dsl.Output[dsl.Model],
    page: dsl.Output[dsl.HTML],
) -> dsl.ContainerSpec:
    """Train one synthesizer on the training patients of its fraction and cell."""
    args = [
        "--params-text", params, "--lineage", lineage, "--set", f"painter={painter}", "--pairs", pairs.path,
        "--synthesizer", synthesizer.path, "--page", page.path,
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "train-gan"], args=args)
