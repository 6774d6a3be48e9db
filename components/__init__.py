"""One container component per stage: `nephrite STAGE` in the image, with typed artifacts, and nothing else."""

import os

IMAGE = os.environ.get("NEPHRITE_IMAGE", "localhost/nephrite:latest")
