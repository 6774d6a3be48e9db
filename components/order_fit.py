"""The component of `nephrite order-fit`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def order_fit(  # noqa: PLR0917 - kfp itself calls it by position
    params: str,
    lineage: str,
    arm: str,
    pairs: dsl.Input[dsl.Dataset],
    order: dsl.Output[dsl.Artifact],
    synthetic: dsl.Input[dsl.Dataset] | None = None,
) -> dsl.ContainerSpec:
    """Write what a program in an image of its own is to learn from."""
    args = [
        "--params-text", params, "--lineage", lineage, "--set", f"arm={arm}", "--pairs", pairs.path,
        "--order", order.path, dsl.IfPresentPlaceholder("synthetic", ["--synthetic", synthetic.path]),
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "order-fit"], args=args)
