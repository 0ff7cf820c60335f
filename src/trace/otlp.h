/* otlp.h: spans as OTLP writes them in JSON (opentelemetry-proto, ExportTraceServiceRequest). Pure.
 *
 * JSON and not Protobuf: both are standard for OTLP/HTTP and every collector takes both; JSON needs
 * no library and no generated code, and can be read where it is recorded. */
#pragma once

#include "base/buf.h"

struct span;

/* What stands before the first span: who we are. `instance` tells this process from others. */
void otlp_begin(struct buf *to, const char *version, const char *instance);
/* Behind otlp_begin(), any number. */
void otlp_span(struct buf *to, const struct span *s);
void otlp_end(struct buf *to);

/* How many spans a collector that answered 2xx says that it has refused (partialSuccess). */
uint64_t otlp_rejected(struct slice answer);
