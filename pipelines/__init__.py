"""The experiment as a Kubeflow pipeline: compiled, submitted and watched by `nephrite-pipeline`."""
