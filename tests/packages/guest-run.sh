#!/bin/bash
# Inside a clean Debian: the package, one command, five mistakes. guest-run.sh URL
set -uo pipefail
url=$1
. ./shown.sh

debian_install /work/lowtide_*.deb
rm shown.sh guest-run.sh
show '. /etc/os-release; echo "$PRETTY_NAME"; lowtide --version; ls'
show 'head -4 docs.csv; wc -l docs.csv; tail -4 prompt.txt'
show "time lowtide run docs.csv --prompt @prompt.txt --param max_tokens=4 --param temperature=0 --param 'stop=[\"\\n\"]' -o labelled.csv --upstream $url"
show 'head -8 labelled.csv; wc -l labelled.csv'

echo; echo "---- five mistakes ----"
show "lowtide run docs.csv --prompt 'Which section? {text}' -o other.csv --upstream $url"
show "lowtide run docs.csv --prompt @prompt.txt -o labelled.csv --upstream $url"
printf 'package,description\nvi,"a text editor\n' >broken.csv
show "lowtide run broken.csv --prompt @prompt.txt -o other.csv --upstream $url"
printf 'package,description\ncafe,caf\351\n' >latin1.csv
show "lowtide run latin1.csv --prompt @prompt.txt -o other.csv --upstream $url"
show "timeout --foreground 8 lowtide run docs.csv --prompt @prompt.txt --limit 2 -o other.csv --upstream http://127.0.0.1:9/v1"
exit 0
