#!/usr/bin/env python3
"""Asks for a URL with Python's own client and prints code, media type and body.

  http_get.py METHOD URL
"""
import sys
import urllib.error
import urllib.request

request = urllib.request.Request(sys.argv[2], method=sys.argv[1], data=b"x" * 100000 if sys.argv[1] == "POST" else None)
try:
    with urllib.request.urlopen(request, timeout=10) as answer:
        code, headers, body = answer.status, answer.headers, answer.read()
except urllib.error.HTTPError as error:
    code, headers, body = error.code, error.headers, error.read()
print(code, headers["Content-Type"], body.decode().strip())
