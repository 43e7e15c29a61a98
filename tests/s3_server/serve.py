"""A small S3 server that checks signatures (moto, with its access control on), in a virtual environment of its own.

Prints one line of JSON (endpoint, access_key, secret), serves until its input ends, and answers one kind of order on
its input: a line of JSON with method, url, region and epoch seconds is signed by botocore, and its headers are printed.
"""

import datetime as dt
import json
import sys
from unittest import mock

import boto3
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto import settings
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.s3.models import s3_backends

REGION = "eu-north-1"
SIZES = {"data": range(1, 2502), "empty": range(0)}
MAY_LIST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": "arn:aws:s3:::*"}],
}


def main() -> None:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    key = fill(endpoint)
    say({"endpoint": endpoint, "region": REGION, "access_key": key["AccessKeyId"], "secret": key["SecretAccessKey"]})
    for line in sys.stdin:
        say(signed(**json.loads(line)))
    server.stop()


def fill(endpoint: str) -> dict[str, str]:
    """Make a user who may list, two buckets and their objects; from then on nobody gets in unsigned."""
    at = {"endpoint_url": endpoint, "aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": REGION}
    s3, iam = boto3.client("s3", **at), boto3.client("iam", **at)
    for bucket, sizes in SIZES.items():
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        for size in sizes:
            s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, f"set <{size}> & söhne/x+y", b"x" * size)
    iam.create_user(UserName="dcd")
    iam.put_user_policy(UserName="dcd", PolicyName="list", PolicyDocument=json.dumps(MAY_LIST))
    key: dict[str, str] = iam.create_access_key(UserName="dcd")["AccessKey"]
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    return key


def signed(method: str, url: str, region: str, key: list[str], at: float) -> dict[str, str]:
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    request = AWSRequest(method=method, url=url)
    signer = botocore.auth.S3SigV4Auth(Credentials(*key), "s3", region)
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
        signer.add_auth(request)
    return dict(request.headers)


def say(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
