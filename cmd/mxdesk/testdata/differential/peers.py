# Judges the mails of a case file with python3-spf and python3-dkim. Writes one
# JSON object for each: {"name", "spf", "dkim": [...], "arc"}.
import json
import logging
import sys
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

import dkim
import spf


def word(check):
    try:
        return "pass" if check() else "fail"
    except dkim.DnsTimeoutError:
        return "temperror"
    except dkim.DKIMException:
        return "fail"
    except Exception as e:
        return "crash:" + type(e).__name__


def signatures(raw):
    count = sum(1 for name, _ in dkim.rfc822_parse(raw)[0] if name.lower() == b"dkim-signature")
    return [word(lambda: dkim.DKIM(raw).verify(idx=i)) for i in range(count)]


def chain(raw):
    try:
        cv, _, _ = dkim.arc_verify(raw)
        return cv.decode()
    except Exception as e:
        return "crash:" + type(e).__name__


for line in open(sys.argv[1]):
    case = json.loads(line)
    with open(case["file"], "rb") as f:
        raw = f.read()
    result, _ = spf.check2(case["ip"], case["sender"], case["helo"], querytime=10)
    print(json.dumps({"name": case["name"], "spf": result, "dkim": signatures(raw), "arc": chain(raw)}), flush=True)
