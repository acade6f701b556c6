"""Parses form bodies as Django does by default, and compares the fields; checks the limits that ASP.NET documents.

Usage: parse-forms.py < lines of {"body": ..., "wanted": ...}
"""

import json
import sys

import django
from django.conf import settings
from django.test import RequestFactory

# FormOptions of ASP.NET Core: ValueCountLimit, KeyLengthLimit, ValueLengthLimit.
ASP_NET = (1024, 2048, 4 * 1024 * 1024)


def fields(tree, key=""):
    """The fields of a structure, with flat keys."""
    if isinstance(tree, str):
        return {key: tree}
    found = {}
    for name, member in tree.items():
        found |= fields(member, f"{key}[{name}]" if key else name)
    return found


def main():
    settings.configure(ALLOWED_HOSTS=["*"])
    # The limit on the body's size is the application's; only the fields are checked.
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
    count = 0
    for line in sys.stdin:
        case = json.loads(line)
        request = RequestFactory().post("/", case["body"], content_type="application/x-www-form-urlencoded")
        read, wanted = {name: request.POST.getlist(name) for name in request.POST}, fields(case["wanted"])
        if read != {name: [value] for name, value in wanted.items()}:
            sys.exit(f"as Django reads {case['body'][:300]}\n{str(read)[:1000]}")
        pairs = [pair.partition("=") for pair in case["body"].split("&")]
        most = (len(pairs), max(len(key) for key, _, _ in pairs), max(len(value) for _, _, value in pairs))
        if any(is_ > allowed for is_, allowed in zip(most, ASP_NET)):
            sys.exit(f"ASP.NET would refuse {case['body'][:300]}: {most}")
        count += 1
    if count == 0:
        sys.exit("no form bodies to check")
    print(f"{count} form bodies parsed by Django {django.get_version()}, and within ASP.NET's limits")


if __name__ == "__main__":
    main()
