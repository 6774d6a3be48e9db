"""The champion on a folder of scans: the folder is imported from an object store, and segmented.

No `from __future__ import annotations` here: kfp reads the types off the signature.
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from nephrite_kubeflow.cluster import Cluster
from nephrite_kubeflow.components.predict import predict
from nephrite_kubeflow.placement import Placement

NAME = "inference"
DESCRIPTION = "Segments a folder of scans with the registered champion."
STEPS = ("predict",)


def build_pipeline(cluster: Cluster, image: str) -> BaseComponent:
    """The pipeline for one kind of cluster and one image.

    Its arguments: `params` (the settings as YAML), `lineage` (JSON object), and `scans_uri` (an s3:// folder).
    """
    place = Placement(cluster, image)

    @dsl.pipeline(name=NAME, description=DESCRIPTION)
    def inference(params: str, lineage: str, scans_uri: str) -> None:
        scans = dsl.importer(artifact_uri=scans_uri, artifact_class=dsl.Dataset, reimport=True)
        place.put(predict(params=params, lineage=lineage, scans=scans.output), "predict")

    return inference
