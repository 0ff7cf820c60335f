import csv
import sys

import lowtide

with open("docs.csv", newline="") as file:
    rows = list(csv.DictReader(file))
labelled = lowtide.map(
    rows,
    prompt=open("prompt.txt").read(),
    model="gemma-3-270m",
    upstream=sys.argv[1],
    params={"max_tokens": 4, "temperature": 0, "stop": ["\n"]},
)
for row in labelled[:6]:
    print(row)
with open("labelled.csv", "w", newline="") as file:
    out = csv.DictWriter(file, labelled[0], lineterminator="\n")
    out.writeheader()
    out.writerows(labelled)
