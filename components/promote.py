"""The component of `nephrite promote`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def promote(  # noqa: PLR0917 - kfp itself calls it by position
    params: str,
    lineage: str,
    pairs: dsl.Input[dsl.Dataset],
    report: dsl.Input[dsl.Artifact],
    runs: list[str],
    promotion: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
) -> dsl.ContainerSpec:
    """Register the best segmenter, from the models that the runs of train_segmenter kept in MLflow."""
    args = [
        "--params-text", params, "--lineage", lineage, "--report", report.path, "--pairs", pairs.path,
        "--segmenters", f"runs:{runs}", "--promotion", promotion.path, "--page", page.path,
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "promote"], args=args)
