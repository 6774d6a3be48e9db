"""The component of `nephrite predict`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def predict(
    params: str,
    lineage: str,
    scans: dsl.Input[dsl.Dataset],
    masks: dsl.Output[dsl.Dataset],
    page: dsl.Output[dsl.HTML],
) -> dsl.ContainerSpec:
    """Segment a folder of scans with the registered champion."""
    args = [
        "--params-text", params, "--lineage", lineage, "--scans", scans.path, "--masks", masks.path,
        "--page", page.path,
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "predict"], args=args)
