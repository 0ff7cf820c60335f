-- wrk's request: the same POST that a line of the batch makes upstream, with a body of 300 bytes.
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
wrk.body = os.getenv("BENCH_BODY")
