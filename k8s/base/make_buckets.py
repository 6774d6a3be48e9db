"""Make the buckets named as arguments where they are missing; the account comes from the usual AWS variables."""

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


def make(buckets: list[str]) -> None:
    """Ask for every bucket, for five minutes at most while the store starts.

    Raises:
        SystemExit: the store cannot be reached, or refuses.
    """
    client = boto3.client(
        "s3", config=Config(retries={"mode": "standard", "total_max_attempts": 15}, connect_timeout=5)
    )
    try:
        there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        for bucket in buckets:
            if bucket not in there:
                client.create_bucket(Bucket=bucket)
            sys.stdout.write(f"{bucket}: {'was there' if bucket in there else 'made'}\n")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"{client.meta.endpoint_url}: {error}; look at the pod of 's3' and at the secret 'store'")


if __name__ == "__main__":
    make(sys.argv[1:])
