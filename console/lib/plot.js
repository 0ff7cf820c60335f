// A line over time, drawn by uPlot in the theme's colours.
import uPlot from "../vendor/uplot.js";
import { html, useEffect, useRef } from "../vendor/preact.js";
import { brief, clock, rate } from "./format.js";
import { language, t } from "./i18n.js";
import { themeShown } from "./theme.js";
import { useValue } from "./value.js";

const HEIGHT = 132;

// A canvas does not resolve custom properties.
function colourOf(box, name) {
	box.style.color = `var(--${name})`;
	const colour = getComputedStyle(box).color;
	box.style.color = "";
	return colour;
}

// A reading between two gaps is no line: it is drawn as a point.
function alone(u, number) {
	const of = u.data[number];
	return [...of.keys()].filter((n) => of[n] != null && of[n - 1] == null && of[n + 1] == null);
}

function options(box, name, kind) {
	const line = colourOf(box, kind);
	const grid = { stroke: colourOf(box, "line"), width: 1 };
	const axis = {
		stroke: colourOf(box, "muted"),
		grid,
		ticks: { show: false },
		font: "11px system-ui, sans-serif",
	};
	return {
		width: Math.max(160, box.clientWidth),
		height: HEIGHT,
		legend: { show: false },
		cursor: { y: false, drag: { x: false, y: false } },
		scales: { y: { range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
		axes: [
			{
				...axis,
				size: 26,
				space: 70,
				values: (u, at) => at.map(at[at.length - 1] - at[0] < 300 ? clock : brief),
			},
			{ ...axis, size: 48, space: 32, values: (u, of) => of.map(rate) },
		],
		series: [
			{},
			{
				label: name,
				stroke: line,
				width: 1.5,
				fill: line.replace(/^rgb\(/, "rgba(").replace(/\)$/, ", 0.1)"),
				points: { show: false, filter: alone, size: 4, fill: line },
			},
		],
	};
}

/** What a reader who does not see it is told. */
function inWords(name, values) {
	const known = values.filter((one) => one != null);
	if (known.length === 0) return t("plot.nothing", { name });
	const last = known[known.length - 1];
	return t("plot.words", { name, last: rate(last), most: rate(Math.max(...known)) });
}

export function Plot({ name, unit, at, values, kind = "accent", empty }) {
	const box = useRef();
	const drawn = useRef(null);
	const tip = useRef();
	const themed = useValue(themeShown);
	const spoken = useValue(language);
	const known = values.some((one) => one != null);

	useEffect(() => {
		if (!known) return undefined;
		const opts = options(box.current, name, kind);
		opts.hooks = {
			setCursor: [
				({ cursor: { idx }, data }) => {
					const value = idx == null ? null : data[1][idx];
					tip.current.textContent = value == null ? "" : `${clock(data[0][idx])}  ${rate(value)}`;
				},
			],
		};
		const u = (drawn.current = new uPlot(opts, [at, values], box.current));
		const watch = new ResizeObserver(() =>
			u.setSize({ width: Math.max(160, box.current.clientWidth), height: HEIGHT }),
		);
		watch.observe(box.current);
		return () => {
			watch.disconnect();
			u.destroy();
			drawn.current = null;
		};
	}, [known, themed, spoken, name, kind]);
	useEffect(() => drawn.current?.setData([at, values]), [at, values]);

	const last = values.findLast((one) => one != null);
	return html`<figure class="plot">
		<figcaption>
			<span class="plot-name">${name}</span>
			<span class="plot-tip" ref=${tip} aria-hidden="true"></span>
			<span class="plot-last">${last == null ? "–" : rate(last)} <small>${unit}</small></span>
		</figcaption>
		<div class="plot-box" ref=${box} role="img" aria-label=${inWords(name, values)}>
			${!known && html`<p class="plot-empty">${empty ?? t("plot.empty")}</p>`}
		</div>
	</figure>`;
}
