# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration of buckets and objects over S3, with boto3: documents that are kept, those that are absent, policies,
ACLs and public access, cross-origin requests, tags, lifecycle rules that are carried out."""
import datetime
import json
import os
import ssl
import sys
import urllib.error
import urllib.request
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from boto import connect, refused  # noqa: E402
from cluster import Cluster, say, wait_for  # noqa: E402

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


class Anybody:
    """Requests without a key."""
    def __init__(self, c):
        self.base = f"https://{c.nodes[0].address}:{c.nodes[0].port}/bucket/"
        self.tls = ssl.create_default_context(cafile=f"{c.nodes[0].dir}/tls/ca.pem")

    def ask(self, method, key, **headers):
        """Status, headers, body."""
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        request = urllib.request.Request(self.base + key, method=method, headers=named)
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=20) as r:
                return r.status, r.headers, r.read()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read()

    def get(self, key):
        return self.ask("GET", key)[0]


def absent(s3):
    """What is not configured has its documented answer."""
    b = {"Bucket": "bucket"}
    for call, code in ((s3.get_bucket_policy, "NoSuchBucketPolicy"), (s3.get_bucket_policy_status, "NoSuchBucketPolicy"),
                       (s3.get_bucket_cors, "NoSuchCORSConfiguration"), (s3.get_bucket_tagging, "NoSuchTagSet"),
                       (s3.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration"),
                       (s3.get_bucket_website, "NoSuchWebsiteConfiguration"),
                       (s3.get_bucket_replication, "ReplicationConfigurationNotFoundError"),
                       (s3.get_public_access_block, "NoSuchPublicAccessBlockConfiguration"),
                       (s3.get_bucket_ownership_controls, "OwnershipControlsNotFoundError")):
        refused(lambda call=call: call(**b), code, 404)
    for call in (s3.get_bucket_inventory_configuration, s3.get_bucket_analytics_configuration,
                 s3.get_bucket_metrics_configuration, s3.get_bucket_intelligent_tiering_configuration):
        refused(lambda call=call: call(Id="x", **b), "NoSuchConfiguration", 404)
    for call in (s3.delete_bucket_inventory_configuration, s3.delete_bucket_analytics_configuration,
                 s3.delete_bucket_metrics_configuration, s3.delete_bucket_intelligent_tiering_configuration):
        refused(lambda call=call: call(Id="x", **b), "NoSuchConfiguration", 404)
    refused(lambda: s3.put_bucket_metrics_configuration(Id="x", MetricsConfiguration={"Id": "x"}, **b), "NotImplemented", 501)
    assert "LoggingEnabled" not in s3.get_bucket_logging(**b)
    assert "TopicConfigurations" not in s3.get_bucket_notification_configuration(**b)
    assert "Status" not in s3.get_bucket_accelerate_configuration(**b)
    assert s3.get_bucket_request_payment(**b)["Payer"] == "BucketOwner"
    assert not s3.list_bucket_inventory_configurations(**b)["IsTruncated"]
    assert not s3.list_bucket_metrics_configurations(**b)["IsTruncated"]
    rules = s3.get_bucket_encryption(**b)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}, rules


def not_done(s3):
    """What would switch on what we do not do is refused; an empty document is taken."""
    b = {"Bucket": "bucket"}

    def encryption(algorithm):
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}
        s3.put_bucket_encryption(ServerSideEncryptionConfiguration={"Rules": [rule]}, **b)
    encryption("AES256")
    refused(lambda: encryption("aws:kms"), "NotImplemented", 501)
    s3.put_bucket_notification_configuration(NotificationConfiguration={}, **b)
    refused(lambda: s3.put_bucket_notification_configuration(NotificationConfiguration={"EventBridgeConfiguration": {}}, **b),
            "NotImplemented", 501)
    s3.put_bucket_logging(BucketLoggingStatus={}, **b)
    refused(lambda: s3.put_bucket_logging(BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": "x", "TargetPrefix": ""}}, **b),
            "NotImplemented", 501)
    s3.put_bucket_request_payment(RequestPaymentConfiguration={"Payer": "BucketOwner"}, **b)
    refused(lambda: s3.put_bucket_request_payment(RequestPaymentConfiguration={"Payer": "Requester"}, **b), "NotImplemented", 501)
    refused(lambda: s3.put_bucket_accelerate_configuration(AccelerateConfiguration={"Status": "Enabled"}, **b),
            "NotImplemented", 501)


def documents(s3):
    b = {"Bucket": "bucket"}
    tags = [{"Key": "team", "Value": "störage & more"}]
    s3.put_bucket_tagging(Tagging={"TagSet": tags}, **b)
    assert s3.get_bucket_tagging(**b)["TagSet"] == tags
    refused(lambda: s3.put_bucket_tagging(Tagging={"TagSet": tags * 2}, **b), "InvalidTag", 400)
    s3.delete_bucket_tagging(**b)
    refused(lambda: s3.get_bucket_tagging(**b), "NoSuchTagSet", 404)
    site = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "e"}, "RoutingRules": [
        {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/"}}]}
    s3.put_bucket_website(WebsiteConfiguration=site, **b)
    assert {k: v for k, v in s3.get_bucket_website(**b).items() if k in site} == site
    refused(lambda: s3.put_bucket_website(WebsiteConfiguration={"IndexDocument": {"Suffix": "a/b"}}, **b), "InvalidArgument", 400)
    s3.delete_bucket_website(**b)
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}]}},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2}, "Expiration": {"Days": 30}}
    s3.put_bucket_lifecycle_configuration(LifecycleConfiguration={"Rules": [rule]}, **b)
    assert s3.get_bucket_lifecycle_configuration(**b)["Rules"] == [rule]
    for change, code, status in (({"Expiration": {"Days": 0}}, "InvalidArgument", 400),
                                 ({"Status": "On"}, "MalformedXML", 400),
                                 ({"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}, "NotImplemented", 501)):
        refused(lambda change=change: s3.put_bucket_lifecycle_configuration(
            LifecycleConfiguration={"Rules": [dict(rule, **change)]}, **b), code, status)
    s3.delete_bucket_lifecycle(**b)


def by_tags(s3, anybody, allow):
    """A policy that looks at the tags that an object has, and at those that it would get."""
    b = {"Bucket": "bucket"}
    deny = dict(allow, Effect="Deny", Action=["s3:PutObject", "s3:PutObjectTagging"], Resource="arn:aws:s3:::bucket/*",
                Condition={"StringEquals": {"s3:RequestObjectTag/level": "secret"}})
    allow = dict(allow, Resource="arn:aws:s3:::bucket/*", Condition={"StringEquals": {"s3:ExistingObjectTag/level": "open data"}})
    s3.put_bucket_policy(Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow, deny]}), **b)
    s3.put_object(Key="levelled", Body=b"l", Tagging="level=open%20data", **b)
    assert anybody.get("levelled") == 200
    s3.put_object_tagging(Key="levelled", Tagging={"TagSet": [{"Key": "level", "Value": "none"}]}, **b)
    assert anybody.get("levelled") == 403
    refused(lambda: s3.put_object(Key="levelled", Body=b"l", Tagging="level=secret", **b), "AccessDenied", 403)
    refused(lambda: s3.put_object_tagging(Key="levelled", Tagging={"TagSet": [{"Key": "level", "Value": "secret"}]}, **b),
            "AccessDenied", 403)
    assert s3.get_object_tagging(Key="levelled", **b)["TagSet"] == [{"Key": "level", "Value": "none"}]
    s3.create_bucket(Bucket="levels")
    s3.put_object(Bucket="levels", Key="secret", Body=b"s", Tagging="level=secret")
    refused(lambda: s3.copy_object(Key="levelled", CopySource="levels/secret", **b), "AccessDenied", 403)
    s3.copy_object(Key="levelled", CopySource="levels/secret", TaggingDirective="REPLACE", **b)
    assert s3.get_object_tagging(Key="levelled", **b)["TagSet"] == []


def policies(s3, other, anybody):
    b = {"Bucket": "bucket"}
    s3.put_object(Key="open/x", Body=b"open", **b)
    s3.put_object(Key="shut", Body=b"shut", **b)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/open/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    refused(lambda: s3.put_bucket_policy(Policy=policy.replace("bucket/", "others/"), **b), "MalformedPolicy", 400)
    refused(lambda: s3.put_bucket_policy(Policy="{}", **b), "MalformedPolicy", 400)
    assert anybody.get("open/x") == 403
    s3.put_bucket_policy(Policy=policy, **b)
    assert s3.get_bucket_policy(**b)["Policy"] == policy
    assert s3.get_bucket_policy_status(**b)["PolicyStatus"]["IsPublic"]
    assert anybody.get("open/x") == 200 and anybody.get("shut") == 403
    refused(lambda: other.get_bucket_policy(**b), "AccessDenied", 403)
    block = {"RestrictPublicBuckets": True, "BlockPublicPolicy": True}
    s3.put_public_access_block(PublicAccessBlockConfiguration=block, **b)
    assert s3.get_public_access_block(**b)["PublicAccessBlockConfiguration"] == block
    assert anybody.get("open/x") == 403
    assert other.get_object(Key="open/x", **b)["Body"].read() == b"open"
    refused(lambda: s3.put_bucket_policy(Policy=policy, **b), "AccessDenied", 403)
    s3.delete_public_access_block(**b)
    by_tags(s3, anybody, statement)
    s3.delete_bucket_policy(**b)
    assert anybody.get("open/x") == 403


def acl_of_a_source(s3, other):
    """The version that is copied is the one whose ACL counts."""
    one = {"Bucket": "source", "Key": "k"}
    s3.create_bucket(Bucket="source")
    s3.put_bucket_versioning(Bucket="source", VersioningConfiguration={"Status": "Enabled"})
    given = s3.put_object(Body=b"given", **one)["VersionId"]
    kept = s3.put_object(Body=b"kept", **one)["VersionId"]
    s3.put_object_acl(VersionId=given, GrantRead='id="other"', **one)
    up = s3.create_multipart_upload(Bucket="bucket", Key="from-other")["UploadId"]
    part = {"Bucket": "bucket", "Key": "from-other", "UploadId": up, "PartNumber": 1}
    for copy in (lambda v: other.copy_object(Bucket="bucket", Key="from-other", CopySource=dict(one, VersionId=v)),
                 lambda v: other.upload_part_copy(CopySource=dict(one, VersionId=v), **part)):
        copy(given)
        refused(lambda copy=copy: copy(kept), "AccessDenied", 403)
    refused(lambda: other.copy_object(Bucket="bucket", Key="from-other", CopySource=one), "AccessDenied", 403)
    assert s3.get_object(Bucket="bucket", Key="from-other")["Body"].read() == b"given"
    s3.abort_multipart_upload(**{k: v for k, v in part.items() if k != "PartNumber"})


def acls(s3, other, anybody):
    b = {"Bucket": "bucket"}
    s3.put_object(Key="public", Body=b"p", ACL="public-read", **b)
    s3.put_object(Key="private", Body=b"p", ACL="private", **b)
    assert anybody.get("public") == 200 and anybody.get("private") == 403 and anybody.get("none") == 403
    grants = s3.get_object_acl(Key="public", **b)
    assert [(g["Grantee"].get("URI"), g["Permission"]) for g in grants["Grants"]] == [(None, "FULL_CONTROL"), (ALL_USERS, "READ")]
    s3.put_object_acl(Key="public", ACL="private", **b)
    assert anybody.get("public") == 403
    refused(lambda: other.get_object(Key="private", **b), "AccessDenied", 403)
    s3.put_object_acl(Key="private", GrantRead='id="other"', **b)
    assert other.get_object(Key="private", **b)["Body"].read() == b"p"
    refused(lambda: other.put_object_acl(Key="private", ACL="public-read", **b), "AccessDenied", 403)
    refused(lambda: s3.put_object_acl(Key="private", GrantRead='id="nobody"', **b), "InvalidArgument", 400)
    refused(lambda: s3.put_object_acl(Key="private", ACL="wrong", **b), "InvalidArgument", 400)
    s3.copy_object(Key="copied", CopySource="bucket/private", ACL="public-read", **b)
    assert anybody.get("copied") == 200
    up = s3.create_multipart_upload(Key="multi", ACL="public-read", **b)["UploadId"]
    etag = s3.upload_part(Key="multi", UploadId=up, PartNumber=1, Body=b"m", **b)["ETag"]
    s3.complete_multipart_upload(Key="multi", UploadId=up, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}, **b)
    assert anybody.get("multi") == 200
    assert anybody.get("?list-type=2") == 403
    owner = grants["Owner"]
    s3.put_bucket_acl(AccessControlPolicy={"Owner": owner, "Grants": [
        {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"},
        {"Grantee": {"Type": "CanonicalUser", "ID": "other"}, "Permission": "WRITE"}]}, **b)
    assert anybody.get("?list-type=2") == 200
    other.put_object(Key="from-other", Body=b"o", **b)
    refused(lambda: other.delete_bucket(**b), "AccessDenied", 403)
    acl_of_a_source(s3, other)
    assert len(s3.get_bucket_acl(**b)["Grants"]) == 3
    s3.put_public_access_block(PublicAccessBlockConfiguration={"IgnorePublicAcls": True, "BlockPublicAcls": True}, **b)
    assert anybody.get("copied") == 403 and anybody.get("?list-type=2") == 403
    assert other.get_object(Key="private", **b)["Body"].read() == b"p"
    refused(lambda: s3.put_object(Key="public", ACL="public-read", **b), "AccessDenied", 403)
    s3.delete_public_access_block(**b)

    def ownership(mode):
        s3.put_bucket_ownership_controls(OwnershipControls={"Rules": [{"ObjectOwnership": mode}]}, **b)
    refused(lambda: ownership("BucketOwnerEnforced"), "InvalidBucketAclWithObjectOwnership", 400)
    s3.put_bucket_acl(ACL="private", **b)
    ownership("BucketOwnerEnforced")
    assert s3.get_bucket_ownership_controls(**b)["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert anybody.get("copied") == 403
    refused(lambda: s3.put_object_acl(Key="private", ACL="public-read", **b), "AccessControlListNotSupported", 400)
    s3.delete_bucket_ownership_controls(**b)
    assert anybody.get("copied") == 200
    s3.create_bucket(Bucket="listed", ACL="public-read")
    assert len(s3.get_bucket_acl(Bucket="listed")["Grants"]) == 2


def buckets_of_users(c, s3, other):
    """Who may make buckets, and how many; who owns the objects of a new one."""
    refused(lambda: other.create_bucket(Bucket="mine"), "AccessDenied", 403)
    owned = 2
    c.tool("sxacl", "usermod", "--max-volumes", str(owned), "other", "@t")
    other.create_bucket(Bucket="mine", ObjectOwnership="BucketOwnerEnforced")
    mode = other.get_bucket_ownership_controls(Bucket="mine")["OwnershipControls"]["Rules"]
    assert mode == [{"ObjectOwnership": "BucketOwnerEnforced"}], mode
    other.put_object(Bucket="mine", Key="k", Body=b"k")
    refused(lambda: other.put_object_acl(Bucket="mine", Key="k", ACL="public-read"), "AccessControlListNotSupported", 400)
    refused(lambda: other.create_bucket(Bucket="both", ObjectOwnership="BucketOwnerEnforced", ACL="public-read"),
            "InvalidBucketAclWithObjectOwnership", 400)
    refused(lambda: other.create_bucket(Bucket="both", ObjectOwnership="Nobody"), "InvalidArgument", 400)
    other.create_bucket(Bucket="open", ObjectOwnership="ObjectWriter", ACL="public-read", ObjectLockEnabledForBucket=True)
    assert len(other.get_bucket_acl(Bucket="open")["Grants"]) == 2
    assert other.get_bucket_versioning(Bucket="open")["Status"] == "Enabled"
    refused(lambda: other.create_bucket(Bucket="third"), "TooManyBuckets", 400)
    refused(lambda: other.create_bucket(Bucket="mine"), "BucketAlreadyOwnedByYou", 409)
    refused(lambda: other.create_bucket(Bucket="bucket"), "BucketAlreadyExists", 409)
    refused(lambda: s3.head_bucket(Bucket="third"), "404", 404)
    assert {"mine", "open"} <= {b["Name"] for b in other.list_buckets()["Buckets"]}
    other.delete_bucket(Bucket="open")
    other.create_bucket(Bucket="third", GrantRead='id="admin"')
    assert len(other.get_bucket_acl(Bucket="third")["Grants"]) == 2
    refused(lambda: other.get_bucket_ownership_controls(Bucket="third"), "OwnershipControlsNotFoundError", 404)


def cors(s3, anybody):
    rule = {"AllowedOrigins": ["https://*.example.org"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["x-amz-*"],
            "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 600}
    origin = "https://www.example.org"
    wanted = {"Origin": origin, "Access_Control_Request_Method": "PUT", "Access_Control_Request_Headers": "x-amz-date"}
    assert anybody.ask("OPTIONS", "k", **wanted)[0] == 403
    s3.put_bucket_cors(Bucket="bucket", CORSConfiguration={"CORSRules": [rule]})
    assert s3.get_bucket_cors(Bucket="bucket")["CORSRules"] == [rule]
    refused(lambda: s3.put_bucket_cors(Bucket="bucket", CORSConfiguration={"CORSRules": [dict(rule, AllowedMethods=["TRACE"])]}),
            "InvalidRequest", 400)
    status, headers, _ = anybody.ask("OPTIONS", "k", **wanted)
    assert status == 200 and headers["Access-Control-Allow-Origin"] == origin, (status, headers)
    assert headers["Access-Control-Allow-Headers"] == "x-amz-date" and headers["Access-Control-Max-Age"] == "600"
    assert headers["Access-Control-Allow-Methods"] == "GET, PUT"
    for name, value in (("Origin", "https://example.com"), ("Access_Control_Request_Method", "DELETE"),
                        ("Access_Control_Request_Headers", "x-other")):
        assert anybody.ask("OPTIONS", "k", **dict(wanted, **{name: value}))[0] == 403, name
    assert anybody.ask("OPTIONS", "k")[0] == 400
    for key, want in (("copied", 200), ("private", 403)):
        status, headers, _ = anybody.ask("GET", key, Origin=origin)
        assert status == want and headers["Access-Control-Allow-Origin"] == origin, (key, status, headers)
        assert headers["Access-Control-Expose-Headers"] == "ETag"
    assert anybody.ask("GET", "copied", Origin="https://example.com")[1]["Access-Control-Allow-Origin"] is None
    s3.delete_bucket_cors(Bucket="bucket")


def tagging(s3):
    b = {"Bucket": "bucket", "Key": "tagged"}
    s3.put_object(Body=b"t", Tagging="a=1&b=two%20words", **b)
    assert s3.get_object_tagging(**b)["TagSet"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "two words"}]
    assert s3.get_object(**b)["TagCount"] == 2
    tags = [{"Key": "ä+&=", "Value": ""}]
    s3.put_object_tagging(Tagging={"TagSet": tags}, **b)
    assert s3.get_object_tagging(**b)["TagSet"] == tags
    refused(lambda: s3.put_object_tagging(Tagging={"TagSet": [{"Key": str(i), "Value": ""} for i in range(11)]}, **b),
            "BadRequest", 400)
    s3.delete_object_tagging(**b)
    assert s3.get_object_tagging(**b)["TagSet"] == []
    assert s3.get_object(**b)["Body"].read() == b"t"
    refused(lambda: s3.get_object_tagging(Bucket="bucket", Key="none"), "NoSuchKey", 404)
    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    of = {"Bucket": "versions", "Key": "k"}
    one = s3.put_object(Body=b"1", **of)["VersionId"]
    s3.put_object(Body=b"2", **of)
    s3.put_object_tagging(Tagging={"TagSet": [{"Key": "of", "Value": "one"}]}, VersionId=one, **of)
    assert s3.get_object_tagging(VersionId=one, **of)["TagSet"][0]["Value"] == "one"
    assert s3.get_object_tagging(**of)["TagSet"] == []


def lifecycle(c, s3):
    """Rules with a date that has passed act at once; a held version stays."""
    s3.create_bucket(Bucket="plain")
    for key in ("old/a", "old/b", "new/a"):
        s3.put_object(Bucket="plain", Key=key, Body=b"x")
    s3.put_object(Bucket="plain", Key="new/tagged", Body=b"x", Tagging="keep=no")
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)

    def rules(bucket, *filters, **actions):
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={
            "Rules": [dict(actions, ID=str(i), Status="Enabled", Filter=f) for i, f in enumerate(filters)]})
    s3.create_bucket(Bucket="kept", ObjectLockEnabledForBucket=True)
    s3.put_object(Bucket="kept", Key="free", Body=b"x")
    held = s3.put_object(Bucket="kept", Key="held", Body=b"x", ObjectLockLegalHoldStatus="ON")["VersionId"]
    gone = s3.put_object(Bucket="kept", Key="gone", Body=b"x")["VersionId"]
    s3.delete_object(Bucket="kept", Key="gone")
    s3.delete_object(Bucket="kept", Key="gone", VersionId=gone)
    rules("plain", {"Prefix": "old/"}, {"Tag": {"Key": "keep", "Value": "no"}}, Expiration={"Date": past})
    rules("kept", {"Prefix": ""}, Expiration={"Date": past})

    def listed():
        r = s3.list_object_versions(Bucket="kept")
        return ([o["Key"] for o in s3.list_objects_v2(Bucket="plain").get("Contents", [])],
                sorted(v["Key"] for v in r.get("Versions", [])), sorted(m["Key"] for m in r.get("DeleteMarkers", [])))
    wait_for("what has expired to go", 20, lambda: listed() == (["new/a"], ["free", "held"], ["free", "held"]))
    assert s3.get_object(Bucket="kept", Key="held", VersionId=held)["Body"].read() == b"x"


def main():
    warnings.simplefilter("ignore")
    with Cluster("s3-config") as c:
        s3 = connect(c, key=c.key)
        other = connect(c, key=json.loads(c.tool("sxacl", "useradd", "--json", "other", "@t").out))
        anybody = Anybody(c)
        s3.create_bucket(Bucket="bucket")
        absent(s3)
        not_done(s3)
        documents(s3)
        say("documents")
        policies(s3, other, anybody)
        say("policies")
        acls(s3, other, anybody)
        say("ACLs")
        buckets_of_users(c, s3, other)
        cors(s3, anybody)
        tagging(s3)
        say("cross-origin requests, tags")
        lifecycle(c, s3)
        say("lifecycle")
        c.check_logs()


main()
