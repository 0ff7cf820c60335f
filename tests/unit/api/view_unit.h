/* view_unit.h: two upstreams as dispatch shows them: one with an engine's metrics and two models,
 * one that is down and retired. */
#pragma once

#include <math.h>

#include "dispatch/view.h"

static const struct view_decision unit_decisions[] = {
	{ 1750000000, { .requests = 4, .reason = "starting", .batch = 2 } },
	{ 1750000009,
	  { .requests = 8.25,
	    .reason = "growing",
	    .batch = 8,
	    .online = 1,
	    .others = 0.5,
	    .reserve = 2,
	    .best_per_s = 1234.5678,
	    .work_ms = 0.25,
	    .work_s = 0.00025 } },
};

static const struct view_lane unit_lanes[] = {
	{ .upstream = SLICE("a"),
	  .model = SLICE("m \"1\""),
	  .in_flight = 7,
	  .not_durable = 3,
	  .limit = { .requests = 8.25,
		     .reason = "growing",
		     .batch = 7,
		     .online = 1,
		     .others = 0.5,
		     .reserve = 2,
		     .best_per_s = 1234.5678,
		     .work_ms = 0.25,
		     .work_s = 0.00025 },
	  .decisions = unit_decisions,
	  .decision_count = 2 },
	{ .upstream = SLICE("a"), .model = SLICE("m2"), .limit = { .reason = "fixed" } },
	{ .upstream = SLICE("b"),
	  .model = SLICE("m2"),
	  .retired = true,
	  .limit = { .reason = "refused" } },
};

static const struct view_upstream unit_upstreams[] = {
	{ .name = SLICE("a"),
	  .up = true,
	  .state = STALL_THROTTLED,
	  .said = SLICE("HTTP 429"),
	  .weight = 5,
	  .max_concurrency = 64,
	  .batch = 7,
	  .online = 1,
	  .trips = 2,
	  .sent_batch = 100,
	  .sent_online = 11,
	  .answered_2xx = 90,
	  .answered_4xx = 1,
	  .answered_throttled = 2,
	  .answered_5xx = 3,
	  .broken = 4,
	  .tokens = 98765,
	  .engine = "vllm",
	  .running = 8,
	  .waiting = 2,
	  .cache = NAN,
	  .lanes = unit_lanes,
	  .lane_count = 2 },
	{ .name = SLICE("b"),
	  .retired = true,
	  .draining = true,
	  .state = STALL_NONE,
	  .running = NAN,
	  .waiting = NAN,
	  .cache = NAN,
	  .lanes = unit_lanes + 2,
	  .lane_count = 1 },
};

static const struct view_model unit_models[] = {
	{ .name = SLICE("m \"1\""), .batches = 3, .slots = 8.26, .waiting_again = 4 },
	{ .name = SLICE("(others)"), .batches = 1, .slots = 0, .waiting_again = 0 },
};

static const struct scheduling_view unit_view = {
	.at = 1750000010,
	.upstreams = unit_upstreams,
	.upstream_count = 2,
	.lanes = unit_lanes,
	.lane_count = 3,
	.models = unit_models,
	.model_count = 1,
	.other_models = true,
	.online_requests = 6,
	.online_waiting = 5,
	.online_elsewhere = 2,
};
