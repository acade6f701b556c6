"""What schemathesis must know beyond the document: the formats that only a program can tell.

A schema can say that a URL is a string; that Hookswitch may call its address, or that a cursor is one that it
gave, it cannot. Here is how such a string is made, so that what is made as valid is.
"""

import os
from datetime import datetime, timedelta, timezone

import schemathesis
from hypothesis import strategies as st

NOW = datetime.now(timezone.utc).replace(microsecond=0, tzinfo=None)


def times(first, last):
    """RFC 3339 times between two naive times in UTC."""
    return st.datetimes(min_value=first, max_value=last).map(lambda time: time.isoformat() + "Z")


schemathesis.openapi.format("date-time", times(datetime(1970, 1, 2), datetime(2200, 1, 1)))
schemathesis.openapi.format("future-time", times(NOW + timedelta(days=1), datetime(2200, 1, 1)))
schemathesis.openapi.format(
    "length-of-time",
    st.builds("{}{}".format, st.integers(1, 24), st.sampled_from(["m", "h", "d"])).filter(lambda text: text != "0s"),
)
# A port of this machine on which nothing listens: a probe of it ends at once.
schemathesis.openapi.format("webhook-url", st.integers(0, 9).map(lambda n: f"http://127.0.0.1:1/{n}"))
schemathesis.openapi.format("header-name", st.integers(0, 99).map(lambda n: f"x-test-{n}"))
# No cursor can be made up: a page that goes on is asked for by the tests of the daemon itself.
schemathesis.openapi.format("cursor", st.just(os.environ["EVENTS_CURSOR"]))
