"""What the help of each command ends with: one or two ways to call it; a test reads each as the command line does."""

from __future__ import annotations

from collections.abc import Mapping

GOES_ON = " \\\n    "  # within a call that is longer than a line
ARM = f"{GOES_ON}--set arm=real/light/0.14/0"
PAINTER = f"{GOES_ON}--set painter=pix2pix/0.14/0"

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "init": ("nephrite init my-scans", "nephrite init my-scans --class 1=kidney --class 2=tumor --out kidneys.yaml"),
    "doctor": ("nephrite doctor", "nephrite doctor --params scans.yaml --seconds 30"),
    "inspect": ("nephrite inspect my-scans", "nephrite inspect my-scans --json > findings.json"),
    "settings": ("nephrite settings --params scans.yaml", "nephrite settings --set trial.cells=[0,1]"),
    "plan": (
        "nephrite plan --params scans.yaml --minutes 60",
        "nephrite plan --minutes 60 --try train_segmenter.epochs=[5,10,20]",
    ),
    "trial": (
        "nephrite trial --params scans.yaml --processes 4",
        "nephrite trial --params scans.yaml --set trial.cells=[0,1,2] --quiet",
    ),
    "ui": ("nephrite ui", "nephrite ui --port 5001"),
    "upload": ("nephrite upload",),
    "verify": ("nephrite verify results/scans", "nephrite verify results/scans/reports"),
    "acquire": ("nephrite acquire --raw data/raw", "nephrite acquire --raw data/raw --params scans.yaml --dry-run"),
    "prepare": ("nephrite prepare --raw data/raw --pairs data/prepared",),
    "train_gan": (f"nephrite train-gan --pairs data/prepared --synthesizer models/pix2pix{PAINTER}",),
    "synthesize": (
        f"nephrite synthesize --pairs data/prepared --synthesizer models/pix2pix{GOES_ON}--painted data/painted"
        + PAINTER,
    ),
    "screen": (
        f"nephrite screen --pairs data/prepared --painted data/painted{GOES_ON}--synthetic data/synthetic" + PAINTER,
    ),
    "train_segmenter": (f"nephrite train-segmenter --pairs data/prepared --segmenter models/real{ARM}",),
    "evaluate": (
        f"nephrite evaluate --pairs data/prepared --segmenter models/real{GOES_ON}--scores scores/real.json" + ARM,
    ),
    "report": ("nephrite report --pairs data/prepared --scores scores --report reports",),
    "promote": (f"nephrite promote --report reports --segmenters models{GOES_ON}--promotion promotion/decision.json",),
    "publish": ("nephrite publish --data data/raw --set publish.remote=s3://bucket/scans",),
    "close_trial": ("nephrite close-trial --params scans.yaml",),
    "order_fit": (f"nephrite order-fit --pairs data/prepared --order order{ARM}",),
    "order_predict": (
        f"nephrite order-predict --pairs data/prepared --segmenter models/real{GOES_ON}--order order" + ARM,
    ),
    "predict": (
        "nephrite predict scan.nii.gz",
        "nephrite predict my-scans --out masks --model models:/nephrite-segmenter/3",
    ),
    "judge": (
        "nephrite judge --scores scores.csv --question fakes,real",
        f"nephrite judge --predictions found --references truth --region tumor=2{GOES_ON}--question fakes,real --json",
    ),
    "reader_study": (
        f"nephrite reader-study --params scans.yaml --painter pix2pix/0.14/0{GOES_ON}--reader anna --out study",
        "nephrite reader-study --out study --report",
    ),
    "resolve": ("nephrite resolve --resolved resolved",),
    "warm": ("nephrite warm dvc repro", "nephrite warm make demo"),
    "lock": ("nephrite lock",),
}


def examples_text(command: str) -> str:
    """The end of a command's help, in a form that click does not wrap."""
    examples = EXAMPLES[command]
    return "\n".join(["\b", "Examples:" if len(examples) > 1 else "Example:", *(f"  {text}" for text in examples)])
