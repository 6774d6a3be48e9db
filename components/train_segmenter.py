"""The component of `nephrite train-segmenter`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def train_segmenter(  # noqa: PLR0917 - kfp itself calls it by position
    params: str,
    lineage: str,
    arm: str,
    pairs: dsl.Input[dsl.Dataset],
    segmenter: dsl.Output[dsl.Model],
    run: dsl.OutputPath(str),
    synthetic: dsl.Input[dsl.Dataset] | None = None,
    done: dsl.Input[dsl.Artifact] | None = None,
) -> dsl.ContainerSpec:
    """Train the segmenter of one arm; only arms that see synthetic slices are given them."""
    args = [
        "--params-text", params, "--lineage", lineage, "--set", f"arm={arm}", "--pairs", pairs.path,
        "--segmenter", segmenter.path, "--run-id", run,
        dsl.IfPresentPlaceholder("synthetic", ["--synthetic", synthetic.path]),
        dsl.IfPresentPlaceholder("done", ["--done", done.path]),
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "train-segmenter"], args=args)
