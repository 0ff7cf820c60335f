#!/usr/bin/env python3
"""A CSV of Debian's package descriptions, as real documents: descriptions.py ROWS > docs.csv

From this machine's apt lists: every fifth package of main, in the order of the lists.
"""

import csv
import re
import subprocess
import sys

rows = int(sys.argv[1])
dump = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
out = csv.writer(sys.stdout, lineterminator="\n")
out.writerow(["package", "description"])
found = 0
for n, stanza in enumerate(dump.split("\n\n")):
    fields = dict(re.findall(r"(?m)^([A-Z][A-Za-z-]*): (.*)$", stanza))
    if n % 5 == 0 and fields.get("Filename", "").startswith("pool/main/") and found < rows:
        out.writerow([fields["Package"], fields["Description"]])
        found += 1
if found < rows:
    sys.exit(f"descriptions: apt knows only {found} such packages; apt-get update fetches its lists")
