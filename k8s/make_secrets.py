"""Fill k8s/base/secrets/ with new random passwords, after the examples that lie there; needs nothing but Python.

Every `CHANGE-ME` becomes a password. The same one is used in all files for one account: MLflow's two users, the data
base, and the three accounts of the object store. What exists is never overwritten.
"""

import os
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "base" / "secrets"
BLANK = "CHANGE-ME"
# Which account a password belongs to: by file and the words before it.
ACCOUNTS = {
    ("nephrite.env", "MLFLOW_TRACKING_PASSWORD="): "mlflow",
    ("mlflow.env", "MLFLOW_AUTH_ADMIN_PASSWORD="): "mlflow",
    ("serving.env", "MLFLOW_TRACKING_PASSWORD="): "serving",
    ("mlflow.env", "MLFLOW_FLASK_SERVER_SECRET_KEY="): "flask",
    ("postgres.env", "POSTGRES_PASSWORD="): "postgres",
    ("nephrite.env", "NEPHRITE_AWS_SECRET_ACCESS_KEY="): "store user",
    ("s3.json", '"accessKey": "nephrite", "secretKey": "'): "store user",
    ("scans.env", "secretkey="): "store reader",
    ("s3.json", '"accessKey": "scans", "secretKey": "'): "store reader",
    ("store.env", "AWS_SECRET_ACCESS_KEY="): "store keeper",
    ("s3.json", '"accessKey": "keeper", "secretKey": "'): "store keeper",
}


def fill(folder: Path) -> list[Path]:
    """Write the secrets of a folder beside their examples, readable by their owner alone; returns what was written."""
    passwords = {account: secrets.token_urlsafe(24) for account in ACCOUNTS.values()}
    targets = [example.with_suffix("") for example in sorted(folder.glob("*.example"))]
    if there := [target for target in targets if target.exists()]:
        raise FileExistsError(f"{there[0]} exists; a running database keeps its password: move the file away first")
    for target in targets:
        text = target.with_name(target.name + ".example").read_text()
        for (name, before), account in ACCOUNTS.items():
            if name == target.name:
                text = text.replace(before + BLANK, before + passwords[account])
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    return targets


if __name__ == "__main__":
    try:
        written = fill(FOLDER)
    except FileExistsError as error:
        sys.exit(str(error))
    sys.stdout.write("".join(f"{path}\n" for path in written))
