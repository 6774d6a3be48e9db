"""The component of `nephrite train-gan`."""

from kfp import dsl

from components import IMAGE


@dsl.container_component
def train_gan(
    params: str,
    lineage: str,
    pairs: dsl.Input[dsl.Dataset],
    synthesizer: dsl.Output[dsl.Model],
    page: dsl.Output[dsl.HTML],
) -> dsl.ContainerSpec:
    """Train the label-to-CT synthesizer on the training patients."""
    args = [
        "--params-text", params, "--lineage", lineage, "--pairs", pairs.path, "--synthesizer", synthesizer.path,
        "--page", page.path,
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "train-gan"], args=args)
