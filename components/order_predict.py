"""The component of `nephrite order-predict`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def order_predict(  # noqa: PLR0917 - kfp itself calls it by position
    params: str,
    lineage: str,
    arm: str,
    pairs: dsl.Input[dsl.Dataset],
    segmenter: dsl.Input[dsl.Model],
    order: dsl.Output[dsl.Artifact],
) -> dsl.ContainerSpec:
    """Write the scans that a program in an image of its own is to segment."""
    args = [
        "--params-text", params, "--lineage", lineage, "--set", f"arm={arm}", "--pairs", pairs.path,
        "--segmenter", segmenter.path, "--order", order.path,
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "order-predict"], args=args)
