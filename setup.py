"""The packages, which pyproject.toml cannot name: those under src are found, the two of Kubeflow stand elsewhere."""

from pathlib import Path

from setuptools import find_packages, setup

KUBEFLOW = {"nephrite_kubeflow": "pipelines", "nephrite_kubeflow.components": "components"}
present = {package: folder for package, folder in KUBEFLOW.items() if Path(folder).is_dir()}  # the image has src alone

setup(packages=[*find_packages("src"), *present], package_dir={"": "src", **present})
