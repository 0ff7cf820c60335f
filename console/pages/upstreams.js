// Each upstream: what is in flight against the limit, and why the limit is what it is.
import { html } from "../vendor/preact.js";
import { number, rate } from "../lib/format.js";
import { hasWord, t, wordOf } from "../lib/i18n.js";
import { Badge, Bar, Empty, Fault, Panel, Pending } from "../lib/ui.js";

const KIND = { flows: "good", throttled: "warn", down: "bad", refused: "bad", elsewhere: "quiet", draining: "quiet" };

const small = (n) => (n == null ? "–" : number(Math.round(n * 10) / 10));

function Reason({ reason }) {
	return html`<p class="reason"><strong>${wordOf("reason", reason)}</strong>${hasWord(`reason_do.${reason}`) && html` ${t(`reason_do.${reason}`)}`}</p>`;
}

// An organization sees the limit alone; the operator what fills it, too.
function Lane({ lane }) {
	const whole = lane.batch !== undefined;
	const { batch = 0, online = 0, cross_traffic = 0, concurrency_limit: limit } = lane;
	return html`<div class="lane">
		<div class="lane-head">
			<span class="model">${lane.model}</span>
			<span class="lane-numbers">
				${whole ? t("lane.of", { used: small(batch + online + cross_traffic), limit: small(limit) }) : t("lane.limit", { limit: small(limit) })}
			</span>
		</div>
		${
			whole &&
			html`<${Bar} whole=${Math.max(limit, batch + online + cross_traffic)} label=${t("lane.words", { batch, online, others: cross_traffic, limit })}
			parts=${[
				{ kind: "running", n: batch },
				{ kind: "online", n: online },
				{ kind: "ended", n: cross_traffic },
			]} />`
		}
		${
			whole &&
			html`<ul class="key">
			<li class="running">${t("lane.batch", { n: batch })}</li>
			<li class="online">${t("lane.online", { n: online })}</li>
			${cross_traffic > 0 && html`<li class="ended">${t("lane.others", { n: cross_traffic })}</li>`}
			${lane.reserve > 0 && html`<li>${t("lane.reserve", { n: lane.reserve })}</li>`}
			${lane.best_per_s > 0 && html`<li>${t("lane.best", { rate: rate(lane.best_per_s) })}</li>`}
		</ul>`
		}
		<${Reason} reason=${lane.reason} />
	</div>`;
}

function Engine({ engine }) {
	if (engine === undefined) return null;
	if (engine === null) return html`<p class="muted">${t("engine.none")}</p>`;
	return html`<dl class="engine">
		<div><dt>${t("engine.kind")}</dt><dd>${engine.kind}</dd></div>
		<div><dt>${t("engine.running")}</dt><dd>${small(engine.running)}</dd></div>
		<div><dt>${t("engine.waiting")}</dt><dd>${small(engine.waiting)}</dd></div>
		${engine.cache_use != null && html`<div><dt>${t("engine.kv")}</dt><dd>${Math.round(engine.cache_use * 100)} %</dd></div>`}
	</dl>`;
}

function Upstream({ one }) {
	return html`<article class="upstream" aria-label=${one.name}>
		<div class="upstream-head">
			<h3>${one.name}</h3>
			<${Badge} kind=${KIND[one.state] ?? "quiet"}>${wordOf("upstream", one.state)}<//>
		</div>
		${one.said && html`<p class="said">${one.said}</p>`}
		<${Engine} engine=${one.engine} />
		${one.lanes.length === 0 && html`<p class="muted">${t("lane.none")}</p>`}
		${one.lanes.map((lane) => html`<${Lane} lane=${lane} key=${lane.model} />`)}
	</article>`;
}

export function Upstreams({ load }) {
	const upstreams = load.data?.upstreams;
	const { online_requests, online_waiting } = load.data ?? {};
	const online =
		online_requests > 0 && t("upstreams.online", { n: online_requests, waiting: online_waiting });
	return html`<${Panel} title=${t("upstreams.title")} aside=${online && html`<span class="muted">${online}</span>`}>
		${
			!upstreams
				? html`<${Pending} load=${load} />`
				: html`<${Fault} fault=${load.fault} />
				${
					upstreams.length === 0
						? html`<${Empty} title=${t("upstreams.none")}><p>${t("upstreams.none_text")}</p><//>`
						: html`<div class="upstreams">${upstreams.map((one) => html`<${Upstream} one=${one} key=${one.name} />`)}</div>`
				}`
		}
	<//>`;
}
