# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests with boto3 share; a test that imports this is skipped where boto3 is not installed."""
from cluster import skip

try:
    import boto3
    from botocore.client import Config
    from botocore.exceptions import ClientError
except ImportError:
    skip("boto3 is not installed")


def connect(c, endpoint=None, key=None, style="path", **config):
    """A client of the first node, for the administrator unless `key` is another's."""
    node, key = c.nodes[0], key or c.key
    return boto3.client("s3", endpoint_url=endpoint or f"https://{node.address}:{node.port}", region_name="us-east-1",
                        aws_access_key_id=key["access_key"], aws_secret_access_key=key["secret_key"],
                        verify=f"{node.dir}/tls/ca.pem",
                        config=Config(s3={"addressing_style": style}, retries={"max_attempts": 1}, **config))


def refused(call, code, status):
    """The answer to a call that must be refused so."""
    try:
        call()
    except ClientError as e:
        got = e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]
        assert got == (code, status), (got, code, status, e)
        return e.response
    raise AssertionError(f"{code} was expected")
