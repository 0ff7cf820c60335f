"""Small plots as SVG, by hand: panels one below the other, each with axes, lines, dots and bars."""

import html
import math

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#999933")
INK, GRID, BAND = "#222222", "#dddddd", "#f3efe2"
WIDTH, LEFT, RIGHT = 760, 62, 16
TOP, LEGEND_ROW, TITLE, FOOT, GAP = 12, 18, 24, 40, 10


def nice_step(span, most):
    step = 10 ** math.floor(math.log10(span / most))
    for factor in (1, 2, 5, 10):
        if span / (step * factor) <= most:
            return step * factor
    return step * 10


def ticks(low, high, log, most):
    if not log:
        step = nice_step(high - low, most)
        first = math.ceil(low / step - 1e-9)
        return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**d for d in decades for f in factors if low <= f * 10.0**d <= high]
        if len(found) <= most:
            break
    return found


def label(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class Panel:
    def __init__(self, title, x_name="", height=150, log_x=False, log_y=False, zero=True):
        self.title, self.x_name, self.height = title, x_name, height
        self.log_x, self.log_y, self.zero = log_x, log_y, zero
        self.shapes, self.legend, self.bands, self.names = [], [], [], None
        self.x_range = self.y_range = self.x_ticks = None

    def colored(self, name, color):
        if color is None:
            color = COLORS[len(self.legend) % len(COLORS)]
        if name:
            self.legend.append((name, color))
        return color

    def line(self, points, name="", color=None, dash="", wide=1.6):
        points = [point for point in points if point[1] is not None]
        self.shapes.append(("line", points, self.colored(name, color), dash, wide))

    def dots(self, points, name="", color=None, radius=1.6):
        points = [point for point in points if point[1] is not None]
        self.shapes.append(("dots", points, self.colored(name, color), "", radius))

    def level(self, y, name="", color=None):
        self.shapes.append(("level", [(None, y)], self.colored(name, color), "5 3", 1.4))

    def mark(self, x, name="", color=None):
        self.shapes.append(("mark", [(x, None)], self.colored(name, color), "3 3", 1.4))

    def band(self, begins, ends):
        self.bands.append((begins, ends))

    def bars(self, values, names, colors=None):
        """One bar a value, with its name below and its value above."""
        self.names = names
        points = [(n + 0.5, value) for n, value in enumerate(values)]
        self.shapes.append(("bars", points, colors or COLORS[: len(values)], "", 0))
        self.x_range = (0, len(values))

    # ---- drawing ----

    def spans(self):
        xs = [x for _, points, *_ in self.shapes for x, _ in points if x is not None]
        ys = [y for _, points, *_ in self.shapes for _, y in points if y is not None]
        x_low, x_high = self.x_range or (min(xs, default=0), max(xs, default=1))
        if self.y_range:
            y_low, y_high = self.y_range
        else:
            y_low, y_high = min(ys, default=0), max(ys, default=1)
            if self.log_y:
                y_low, y_high = y_low / 1.2, y_high * 1.2
            else:
                y_low = min(0, y_low) if self.zero else y_low
                y_high += 0.08 * (y_high - y_low)
        if not self.log_x:
            x_low = min(0, x_low)
        if x_high <= x_low:
            x_high = x_low + 1
        if y_high <= y_low:
            y_high = y_low + 1
        return x_low, x_high, y_low, y_high

    def outer_height(self):
        foot = FOOT if self.x_name else FOOT - 16
        return TITLE + self.legend_rows() * LEGEND_ROW + self.height + foot

    def legend_rows(self):
        return len(self.legend_lay())

    def legend_lay(self):
        """Rows of (x, name, color)."""
        rows, x = [], WIDTH
        for name, color in self.legend:
            size = 24 + 6.6 * len(name)
            if x + size > WIDTH - RIGHT:
                rows.append([])
                x = LEFT
            rows[-1].append((x, name, color))
            x += size + 10
        return rows

    def draw(self, out, top):
        x_low, x_high, y_low, y_high = self.spans()
        out.append(f'<text x="{LEFT}" y="{top + 15}" class="t">{html.escape(self.title)}</text>')
        y0 = top + TITLE
        for row in self.legend_lay():
            for x, name, color in row:
                out.append(
                    f'<rect x="{x}" y="{y0 + 3}" width="14" height="8" fill="{color}"/>'
                    f'<text x="{x + 19}" y="{y0 + 11}">{html.escape(name)}</text>'
                )
            y0 += LEGEND_ROW
        bottom, right = y0 + self.height, WIDTH - RIGHT

        def scale(value, low, high, begins, ends, log):
            if log:
                low, high, value = math.log(low), math.log(high), math.log(max(value, low))
            return begins + (value - low) / (high - low) * (ends - begins)

        def at_x(x):
            return scale(x, x_low, x_high, LEFT, right, self.log_x)

        def at_y(y):
            y = min(max(y, y_low), y_high)
            return scale(y, y_low, y_high, bottom, y0, self.log_y)

        for begins, ends in self.bands:
            left, wide = at_x(begins), at_x(min(ends, x_high)) - at_x(begins)
            out.append(
                f'<rect x="{left:.1f}" y="{y0}" width="{wide:.1f}" '
                f'height="{self.height}" fill="{BAND}"/>'
            )
        for y in ticks(y_low, y_high, self.log_y, 6):
            out.append(
                f'<path d="M{LEFT} {at_y(y):.1f}H{right}" stroke="{GRID}"/>'
                f'<text x="{LEFT - 6}" y="{at_y(y) + 4:.1f}" text-anchor="end">{label(y)}</text>'
            )
        if self.names:
            for n, name in enumerate(self.names):
                out.append(
                    f'<text x="{at_x(n + 0.5):.1f}" y="{bottom + 16}" '
                    f'text-anchor="middle">{html.escape(name)}</text>'
                )
        else:
            for x in self.x_ticks or ticks(x_low, x_high, self.log_x, 12):
                out.append(
                    f'<path d="M{at_x(x):.1f} {bottom}v4" stroke="{INK}"/>'
                    f'<text x="{at_x(x):.1f}" y="{bottom + 16}" text-anchor="middle">{label(x)}</text>'
                )
        middle = (LEFT + right) / 2
        out.append(
            f'<text x="{middle}" y="{bottom + 32}" text-anchor="middle">'
            f"{html.escape(self.x_name)}</text>"
        )
        for shape in self.shapes:
            self.draw_shape(out, shape, at_x, at_y, (y0, bottom, right))
        out.append(f'<path d="M{LEFT} {y0}V{bottom}H{right}" fill="none" stroke="{INK}"/>')

    def draw_shape(self, out, shape, at_x, at_y, box):
        kind, points, color, dash, size = shape
        y0, bottom, right = box
        style = f'fill="none" stroke="{color}" stroke-width="{size}" stroke-dasharray="{dash}"'
        if kind == "line" and points:
            path = "L".join(f"{at_x(x):.1f} {at_y(y):.1f}" for x, y in points)
            out.append(f'<path d="M{path}" {style} stroke-linejoin="round"/>')
        elif kind == "dots" and points:
            # A path of dots takes a fifth of the bytes of that many circles.
            path = "".join(f"M{at_x(x):.1f} {at_y(y):.1f}h0" for x, y in points)
            out.append(
                f'<path d="{path}" stroke="{color}" stroke-width="{2 * size}" '
                f'stroke-linecap="round"/>'
            )
        elif kind == "level":
            out.append(f'<path d="M{LEFT} {at_y(points[0][1]):.1f}H{right}" {style}/>')
        elif kind == "mark":
            out.append(f'<path d="M{at_x(points[0][0]):.1f} {y0}V{bottom}" {style}/>')
        elif kind == "bars":
            wide = (at_x(1) - at_x(0)) * 0.6
            for n, (x, y) in enumerate(points):
                left, top = at_x(x) - wide / 2, at_y(y)
                out.append(
                    f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" '
                    f'height="{bottom - top:.1f}" fill="{color[n % len(color)]}"/>'
                    f'<text x="{at_x(x):.1f}" y="{top - 4:.1f}" text-anchor="middle">'
                    f"{label(y)}</text>"
                )


def save(path, *panels):
    height = TOP + sum(panel.outer_height() + GAP for panel in panels)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="DejaVu Sans,Verdana,sans-serif" font-size="11" '
        f'fill="{INK}"><style>.t{{font-size:13px;font-weight:bold}}</style>'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    ]
    top = TOP
    for panel in panels:
        panel.draw(out, top)
        top += panel.outer_height() + GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(out) + "\n</svg>\n")
