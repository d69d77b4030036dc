"""The overload benchmark's result as an SVG drawing: one panel per kind of request. Standard library only."""
from xml.sax.saxutils import escape

WIDTH, PANEL, LEFT, RIGHT, TOP, BOTTOM, GAP = 460, 250, 62, 20, 56, 44, 20
SERIES = [("offered_per_s", "offered", "#9aa0a6", "5,4"), ("goodput_per_s", "answered in time", "#188038", ""),
          ("refused_per_s", "refused (429)", "#e37400", "")]


def nice_step(top):
    step = 10 ** (len(str(int(max(1, top)))) - 1)
    while top / step < 4:
        step /= 2
    return step


def panel(result, x0, y0):
    rows = result["rows"]
    right = x0 + WIDTH - RIGHT
    bottom = y0 + TOP + PANEL
    load_max = max(row["load"] for row in rows)
    top = max(row["offered_per_s"] for row in rows) * 1.05
    at_x = lambda load: x0 + LEFT + (right - x0 - LEFT) * load / load_max  # noqa: E731
    at_y = lambda value: bottom - PANEL * value / top  # noqa: E731
    kept = min(row["kept"] for row in rows)
    refusals = [row["refusal_p99_ms"] for row in rows if row["refusal_p99_ms"] is not None]
    out = [f'<text x="{x0 + LEFT}" y="{y0 + 18}" font-size="15" font-weight="600">{escape(result["what"])}</text>',
           f'<text x="{x0 + LEFT}" y="{y0 + 36}" font-size="12" fill="#5f6368">capacity {result["capacity_per_s"]:.1f}/s, deadline '
           f'{result["deadline_s"]:g} s, at least {100 * kept:.1f} % of accepted in time'
           + (f', refusals p99 {max(refusals):.1f} ms' if refusals else "") + "</text>"]
    step = nice_step(top)
    value = 0
    while value <= top:
        y = at_y(value)
        out.append(f'<line x1="{x0 + LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e8eaed"/>')
        out.append(f'<text x="{x0 + LEFT - 8}" y="{y + 4:.1f}" font-size="11" text-anchor="end" fill="#5f6368">{value:g}</text>')
        value += step
    y = at_y(result["capacity_per_s"])
    out.append(f'<line x1="{x0 + LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#1a73e8" stroke-dasharray="2,3"/>')
    for row in rows:
        out.append(f'<text x="{at_x(row["load"]):.1f}" y="{bottom + 18}" font-size="11" text-anchor="middle" fill="#5f6368">{row["load"]:g}x</text>')
    for key, _, colour, dashes in SERIES:
        points = " ".join(f'{at_x(row["load"]):.1f},{at_y(row[key]):.1f}' for row in rows)
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        out += [f'<circle cx="{at_x(row["load"]):.1f}" cy="{at_y(row[key]):.1f}" r="3" fill="{colour}"/>' for row in rows]
    out.append(f'<text x="{(x0 + LEFT + right) / 2:.0f}" y="{bottom + 36}" font-size="12" text-anchor="middle">offered load, multiples of capacity</text>')
    return out


def svg(results, machine):
    width = WIDTH * len(results) + GAP
    height = TOP + PANEL + BOTTOM + 46
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
           'font-family="system-ui, sans-serif" fill="#202124">', f'<rect width="{width}" height="{height}" fill="#ffffff"/>']
    for i, result in enumerate(results):
        out += panel(result, i * WIDTH, 0)
    x, y = LEFT, height - 24
    for _, label, colour, dashes in SERIES + [("", "capacity", "#1a73e8", "2,3")]:
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        out.append(f'<line x1="{x}" x2="{x + 26}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="2"{dash}/>')
        out.append(f'<text x="{x + 32}" y="{y}" font-size="12">{label} (requests/s)</text>')
        x += 190
    out.append(f'<text x="{LEFT}" y="{height - 6}" font-size="10" fill="#5f6368">{escape(machine)}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"
