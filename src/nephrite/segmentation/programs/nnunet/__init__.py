"""nnU-Net v2 (Isensee et al. 2021, Nature Methods 18) as a program that keeps the contract of docs/bring-your-own.md.

    python -m nnunet plan    --train DIR --out PLAN
    python -m nnunet fit     --train DIR [--synthetic DIR --share S] [--extra DIR --extra-share S]
                             [--augmentation NAME] --validation DIR --plan PLAN --steps N --seed K --threads T
                             --out MODEL
    python -m nnunet predict --model MODEL --scans DIR --threads T --out DIR

It runs in an environment of its own (`make env-nnunet`), where this folder is a package by itself: nothing of nephrite
is there to import. Fingerprint, plans,
preprocessing, network, augmentation, loss, schedule and sliding windows are nnU-Net's. What differs, and why:

* Plans are made from the real cases of a replicate (cell) and given to all of its arms: synthetic cases would change
  how CT is normalized.
* Slices stay slices. nnU-Net cuts along the axis of the widest spacing, which is another one where slices lie closer
  than the pixels of a coarse grid.
* Cases are drawn so that synthetic ones make up their share: nnU-Net draws each case as often as any other.
* One process draws batches: with one in the background, the same seed gives other weights.
* Weights are kept as safetensors, not as nnU-Net's checkpoint, which is a pickle.
"""
