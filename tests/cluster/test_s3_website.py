# SPDX-License-Identifier: GPL-2.0-or-later
"""Buckets as websites: index and error documents, folders, redirects, conditions and ranges, what anybody may not read."""
import http.client
import os
import sys
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from boto import connect, refused  # noqa: E402
from cluster import Cluster, say  # noqa: E402

S3_PORT = 9000
POLICY = ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",'
          '"Resource":"arn:aws:s3:::site/*"},{"Effect":"Deny","Principal":"*","Action":"s3:GetObject",'
          '"Resource":["arn:aws:s3:::site/secret*"]}]}')
PAGES = {"index.html": "home", "dir/index.html": "dir", "a b/index.html": "blank", "plain": "plain text", "dir/": "never",
         "oops.html": "custom error", "secret": "secret", "secret-dir/index.html": "secret", "both": "object",
         "both/index.html": "folder"}


class Site:
    def __init__(self, c, bucket, domain="web.test"):
        self.address, self.host = c.nodes[0].address, f"{bucket}.{domain}:{S3_PORT}"

    def ask(self, path, method="GET", body=None, **headers):
        """Status, headers, body."""
        conn = http.client.HTTPConnection(self.address, S3_PORT, timeout=20)
        conn.request(method, path, body, {"Host": self.host, **{k.replace("_", "-"): v for k, v in headers.items()}})
        r = conn.getresponse()
        got = r.status, r.headers, r.read().decode()
        conn.close()
        return got

    def check(self, path, status, body):
        got = self.ask(path)
        assert got[::2] == (status, body), (path, got[0], got[2])

    def goes(self, path, status, location, **more):
        got = self.ask(path, **more)
        assert (got[0], got[1]["Location"]) == (status, location), (path, got[0], got[1]["Location"], got[2])

    def page(self, path, status, code, method="GET"):
        """A page of the gateway's own."""
        got = self.ask(path, method)
        assert got[0] == status and got[1]["x-amz-error-code"] == code, (path, got[0], got[2])
        assert got[1]["Content-Type"].startswith("text/html"), got[1]
        assert method == "HEAD" or f"<li>Code: {code}</li>" in got[2], got[2]
        return got


def configure(s3, bucket="site", **more):
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}, **more})


def documents(s3, site):
    site.page("/", 404, "NoSuchWebsiteConfiguration")
    configure(s3)
    site.page("/", 403, "AccessDenied")
    s3.put_bucket_policy(Bucket="site", Policy=POLICY)
    site.check("/", 200, "home")
    site.check("/?versionId=1&acl&x=", 200, "home")  # a website has no query
    site.check("/dir/", 200, "dir")
    site.check("/a%20b/", 200, "blank")
    site.check("/plain", 200, "plain text")
    site.goes("/dir", 302, "/dir/")
    site.goes("/a%20b", 302, "/a%20b/")
    site.check("/both", 200, "object")
    site.page("/none", 404, "NoSuchKey")
    site.page("/none/", 404, "NoSuchKey")
    site.page("/secret", 403, "AccessDenied")
    site.page("/secret-dir", 403, "AccessDenied")
    assert "<script>" not in site.page("/%3Cscript%3E", 404, "NoSuchKey")[2]
    for path in ("/none", "/secret"):
        assert site.page(path, 404 if path == "/none" else 403, "NoSuchKey" if path == "/none" else "AccessDenied",
                         method="HEAD")[2] == ""
    for method in ("PUT", "POST", "DELETE", "OPTIONS"):
        assert site.page("/plain", 405, "MethodNotAllowed", method)[1]["Allow"] == "GET, HEAD"
    site.page("/%ff", 400, "InvalidURI")


def conditions(s3, site):
    status, headers, body = site.ask("/", Range="bytes=1-2")
    assert (status, body, headers["Content-Range"]) == (206, "om", "bytes 1-2/4"), (status, body)
    etag = headers["ETag"]
    assert etag == s3.head_object(Bucket="site", Key="index.html")["ETag"]
    assert site.ask("/", If_None_Match=etag)[::2] == (304, "")
    assert site.ask("/", If_Match='"x"')[0] == 412
    assert site.ask("/", Range="bytes=9-")[0] == 416
    status, headers, body = site.ask("/", "HEAD")
    assert (status, headers["Content-Length"], body, headers["ETag"]) == (200, "4", "", etag)
    assert headers["Content-Type"] == "text/html"


def error_document(s3, site):
    configure(s3, ErrorDocument={"Key": "oops.html"})
    status, headers, body = site.ask("/none")
    assert (status, body, headers["x-amz-error-code"]) == (404, "custom error", "NoSuchKey"), (status, body)
    site.check("/secret", 403, "custom error")
    status, headers, body = site.ask("/none", "HEAD")
    assert (status, headers["Content-Length"], body) == (404, "12", ""), (status, headers, body)
    status, headers, body = site.ask("/none", Range="bytes=0-1", If_None_Match="*")
    assert (status, body) == (404, "custom error"), (status, body)
    status, headers, body = site.ask("/", Range="bytes=9-")
    assert (status, body, headers["Content-Range"]) == (416, "custom error", "bytes */4"), (status, body, headers["Content-Range"])
    site.goes("/dir", 302, "/dir/")
    configure(s3, ErrorDocument={"Key": "secret"})
    site.page("/none", 404, "NoSuchKey")
    configure(s3, ErrorDocument={"Key": "absent"})
    site.page("/none", 404, "NoSuchKey")


def redirects(s3, site):
    here = f"http://{site.host}"
    configure(s3, ErrorDocument={"Key": "oops.html"}, RoutingRules=[
        {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/"}},
        {"Condition": {"KeyPrefixEquals": "gone/", "HttpErrorCodeReturnedEquals": "404"},
         "Redirect": {"ReplaceKeyWith": "index.html", "HttpRedirectCode": "307"}},
        {"Condition": {"HttpErrorCodeReturnedEquals": "403"}, "Redirect": {"HostName": "login.test", "Protocol": "https"}}])
    site.goes("/old/a%20b?c=d", 301, f"{here}/new/a%20b")
    site.goes("/gone/x", 307, f"{here}/index.html")
    site.goes("/secret", 301, "https://login.test/secret")
    site.check("/none", 404, "custom error")
    site.check("/", 200, "home")
    s3.put_bucket_website(Bucket="site", WebsiteConfiguration={"RedirectAllRequestsTo": {"HostName": "www.test"}})
    site.goes("/a%20b?c=d", 301, "http://www.test/a%20b?c=d")
    configure(s3)
    o = {"Bucket": "site", "Key": "moved", "Body": b"was here"}
    s3.put_object(WebsiteRedirectLocation="/plain?x=1", **o)
    site.goes("/moved", 301, "/plain?x=1")
    assert s3.get_object(Bucket="site", Key="moved")["WebsiteRedirectLocation"] == "/plain?x=1"
    site.goes("/moved", 301, "/plain?x=1", method="HEAD")
    s3.copy_object(Bucket="site", Key="moved", CopySource="site/moved", WebsiteRedirectLocation="https://other.test/")
    site.goes("/moved", 301, "https://other.test/")
    s3.copy_object(Bucket="site", Key="copied", CopySource="site/moved")  # the location is the one object's
    site.check("/copied", 200, "was here")
    refused(lambda: s3.put_object(WebsiteRedirectLocation="plain", **o), "InvalidRedirectLocation", 400)


def names(c, s3, site):
    Site(c, "nobody").page("/", 404, "NoSuchBucket")
    # the longest name decides: under api.web.test is the API
    got = Site(c, "site", "api.web.test").ask("/secret")
    assert got[0] == 403 and "<Code>AccessDenied</Code>" in got[2], got
    s3.put_bucket_cors(Bucket="site", CORSConfiguration={"CORSRules": [{"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}]})
    assert site.ask("/", Origin="http://x.test")[1]["Access-Control-Allow-Origin"] == "*"
    s3.delete_bucket_policy(Bucket="site")
    s3.put_object(Bucket="site", Key="dir/index.html", Body=b"open", ACL="public-read")
    site.page("/", 403, "AccessDenied")
    site.check("/dir/", 200, "open")
    site.goes("/dir", 302, "/dir/")
    site.page("/both", 403, "AccessDenied")  # is there, so it does not lead to its folder


def main():
    warnings.simplefilter("ignore")
    with Cluster("s3-website", options=["--s3-port", str(S3_PORT)],
                 settings={"s3_website_domains": ["web.test"], "s3_domains": ["api.web.test"]}) as c:
        s3 = connect(c)
        s3.create_bucket(Bucket="site")
        for key, text in PAGES.items():
            s3.put_object(Bucket="site", Key=key, Body=text.encode(), ContentType="text/html")
        site = Site(c, "site")
        documents(s3, site)
        conditions(s3, site)
        say("documents")
        error_document(s3, site)
        redirects(s3, site)
        say("errors and redirects")
        names(c, s3, site)
        c.check_logs()


main()
