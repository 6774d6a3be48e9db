"""The network of a MONAI bundle, trained and asked by the contract of docs/bring-your-own.md.

    python -m nephrite.segmentation.programs.monai_bundle BUNDLE VERB ...

BUNDLE is a folder with configs/train.json or train.yaml, as those of MONAI's model zoo. Read of it: `network_def`,
`loss`, `optimizer`, `inferer` or `validate#inferer`; and if they are there, `batch_size` and `train#random_transforms`.
Its own transforms of files, spacing and intensities are not: cases come on the trial's grid and within its window.
"""
