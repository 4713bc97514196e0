"""Sends uploads with a library and prints what it makes of each answer.

usage: put.py LIBRARY AUTHORITY < jobs, lines of JSON: url, user, password, size, chunked
"""
import json
import sys

library, authority = sys.argv[1:]


def pieces(size):
    while size > 0:
        yield bytes(min(size, 1 << 16))
        size -= 1 << 16


def body(job):
    return pieces(job["size"]) if job["chunked"] else bytes(job["size"])


def with_requests():
    import requests

    def put(job):
        user = (job["user"], job["password"]) if job["user"] else None
        answer = requests.put(job["url"], data=body(job), auth=user, verify=authority, timeout=60)
        return answer.status_code, answer.text

    return put


def with_urllib3():
    import urllib3

    pool = urllib3.PoolManager(ca_certs=authority, timeout=60, retries=False)

    def put(job):
        headers = urllib3.make_headers(basic_auth=job["user"] + ":" + job["password"]) if job["user"] else {}
        answer = pool.request("PUT", job["url"], body=body(job), headers=headers)
        return answer.status, answer.data.decode()

    return put


def with_httpx(http2):
    import httpx

    client = httpx.Client(http2=http2, verify=authority, timeout=60)

    def put(job):
        user = (job["user"], job["password"]) if job["user"] else None
        # Whole bodies would be copied for each frame of HTTP/2.
        headers = {} if job["chunked"] else {"Content-Length": str(job["size"])}
        answer = client.put(job["url"], content=pieces(job["size"]), headers=headers, auth=user)
        return answer.status_code, answer.text

    return put


put = {
    "requests": with_requests,
    "urllib3": with_urllib3,
    "httpx": lambda: with_httpx(False),
    "httpx over HTTP/2": lambda: with_httpx(True),
}[library]()
for line in sys.stdin:
    try:
        status, text = put(json.loads(line))
        print(status, text.strip(), flush=True)
    except Exception as error:  # what a user would see
        print(type(error).__name__, error, flush=True)
