#!/bin/bash
# Inside a clean Debian: the wheel, one script, five mistakes. guest-python.sh URL
set -uo pipefail
url=$1
. ./shown.sh

debian_install python3-venv
rm shown.sh guest-python.sh
show '. /etc/os-release; echo "$PRETTY_NAME"; python3 --version; ls'
show 'python3 -m venv venv && venv/bin/pip install -q --no-index lowtide-*.whl && venv/bin/lowtide --version'
show 'head -4 docs.csv; wc -l docs.csv; tail -4 prompt.txt'
show 'cat label.py'
show "time venv/bin/python label.py $url"
show 'head -8 labelled.csv; wc -l labelled.csv'
echo; echo "---- again: nothing is asked twice ----"
show "time venv/bin/python label.py $url 2>&1 | tail -1"

# What a person sees of an exception is its last line.
mistake() {
    printf '\n>>> %s\n' "$1"
    venv/bin/python - "$url" <<END 2>&1 | tail -1
import csv, sys, lowtide
U = sys.argv[1]
rows = list(csv.DictReader(open("docs.csv", newline="")))[:20]
$1
END
}
echo; echo "---- five mistakes ----"
mistake 'lowtide.map(rows, prompt="Which section? {text}", model="gemma-3-270m", upstream=U)'
mistake 'lowtide.map(rows, prompt="{package}", model="gemma-3-270m")'
mistake 'lowtide.map("documents.csv", prompt="{package}", model="gemma-3-270m", upstream=U)'
mistake 'lowtide.map(rows + rows[:1], prompt="{package}", model="gemma-3-270m", upstream=U, id="package")'
mistake 'lowtide.map(rows, prompt="{package}", model="gemma-3-270m", server=U)'
exit 0
